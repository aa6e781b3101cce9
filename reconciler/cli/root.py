"""Which repository a command line is about."""

from __future__ import annotations

from pathlib import Path

from reconciler.core.errors import LoraformError

PROJECT_FILE = "loraform.yaml"


def find_root(start: Path | None = None) -> Path:
    """The nearest folder, from `start` (default: where we are) upwards, that holds a `loraform.yaml`."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    raise LoraformError(
        f"There is no {PROJECT_FILE} in {here} or above.",
        "Change into a repository of Loraform, or make one here with `loraform init`.",
    )
