"""A folder of generated files: each written whole, what an earlier ledger left and this one lacks removed, and a
folder that holds anything else refused before the first byte.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from reconciler.core.errors import Refused

_MARK = "loraform-ledger.json"
_PLAIN = frozenset({".nojekyll", "CNAME", ".git", ".gitignore"})
"""What a folder for GitHub Pages may hold beside the site."""


def write_site(out: Path, files: Iterable[tuple[str, bytes]]) -> int:
    """Write the files below `out`; how many there are. Raises Refused where `out` holds what is not a ledger's."""
    ours = _ours(out)
    held = {path.relative_to(out).as_posix() for path in _below(out)}
    foreign = sorted(name for name in held - ours if name != _MARK and name.split("/")[0] not in _PLAIN)
    if foreign:
        named = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise Refused(f"{out} holds other things than a ledger: {named}", "Name a new folder, or an empty one.")
    written = set()
    for name, content in files:
        _write(out / name, content)
        written.add(name)
    gone = sorted((ours & held) - written)
    for name in gone:
        (out / name).unlink()
    for folder in sorted({(out / name).parent for name in gone} - {out}):
        with contextlib.suppress(OSError):
            folder.rmdir()  # only an empty one goes
    return len(written)


def _ours(out: Path) -> set[str]:
    """The files that the mark of an earlier ledger lists."""
    try:
        names = json.loads((out / _MARK).read_text())["files"]
        return {str(name) for name in names}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"{out / _MARK} is not a ledger's.", "Name a new folder, or an empty one.") from error


def _below(out: Path) -> Iterable[Path]:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise Refused(f"{out} is no folder.", "Name a new folder, or an empty one.")
    for parent, folders, names in os.walk(out):
        yield from (Path(parent, name) for name in names)
        links = [name for name in folders if Path(parent, name).is_symlink()]
        yield from (Path(parent, name) for name in links)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
