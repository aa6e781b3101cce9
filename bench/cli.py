"""How long a person waits for the command itself, beside a bare interpreter."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.fleet import LORAFORM, write_repository
from bench.timing import Figure, command, figure


def figures() -> Iterator[Figure]:
    """`loraform --help` and `loraform validate` as whole processes."""
    yield figure("python -c pass", command(sys.executable, "-c", "pass"))
    yield figure("loraform --help", command(LORAFORM, "--help"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "repository"
        write_repository(root, 1)
        yield figure("loraform validate", command(LORAFORM, "validate", folder=root), experiments=1)
