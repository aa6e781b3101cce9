"""How long a person waits for the command itself, beside a bare interpreter."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from bench.timing import Figure, command, figure


def figures() -> Iterator[Figure]:
    """`loraform --help` and `loraform validate` as whole processes."""
    loraform = str(Path(sys.executable).with_name("loraform"))
    yield figure("python -c pass", command(sys.executable, "-c", "pass"))
    yield figure("loraform --help", command(loraform, "--help"))
    yield figure("loraform validate", command(loraform, "validate"))
