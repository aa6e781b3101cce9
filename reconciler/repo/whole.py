"""Writing a file whole or not at all, whatever happens meanwhile: a kill leaves the old content or the new."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def write_whole(place: Path, content: bytes) -> None:
    """Put `content` in the place of what the file holds, or make the file. Links are followed, permissions are kept.

    The new content is written beside the old and takes its name. Raises OSError, with the old content in place.
    """
    file = Path(os.path.realpath(place))
    # One name for all tries: what a kill leaves behind goes with the next one.
    beside = file.with_name(f".{file.name}.new")
    with beside.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    if file.exists():
        beside.chmod(stat.S_IMODE(file.stat().st_mode))
    beside.replace(file)
