"""All modules that the command loads when it needs them, loaded once, in the process that others are forked from.

They are imported and nothing is run: what a fork does is all that `loraform` does, but for a third of a second of
imports, of which the tests that kill would otherwise need a thousand.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

ROOMS = ("reconciler.core", "reconciler.backends", "reconciler.repo", "reconciler.cloud", "reconciler.render")
OURS = (*ROOMS, "reconciler.cli", "schemas")
THEIRS = (
    "deepdiff",
    "google.auth.transport.requests",
    "google.cloud.aiplatform_v1",
    "google.cloud.storage",
    "requests",
    "rich.console",
    "rich.text",
    "tests.cli.crash_world",
)


def load() -> None:
    """Import them all, but what only makes tables (`schemas.generate`) or would run (`__main__`)."""
    for room in OURS:
        package = importlib.import_module(room)
        for found in pkgutil.iter_modules([str(Path(str(package.__file__)).parent)]):
            if found.name not in ("__main__", "generate"):
                importlib.import_module(f"{room}.{found.name}")
    for name in THEIRS:
        importlib.import_module(name)


load()
