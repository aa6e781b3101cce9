from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

LORAFORM = str(Path(sys.executable).with_name("loraform"))
Loraform = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty repository."""
    (tmp_path / "loraform.yaml").write_text("apiVersion: loraform/v1\nkind: Project\nfleet: acme\n")
    return tmp_path


@pytest.fixture
def loraform(repository: Path) -> Iterator[Loraform]:
    """The command, run in `repository`; at the end its embedded Vertex AI is stopped."""

    def run(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
        options = {"capture_output": True, "text": True, "cwd": repository, "timeout": 120} | settings
        return subprocess.run([LORAFORM, *arguments], **options)

    yield run
    run("down")
