from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

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


def write_experiment(repository: Path, name: str, **blocks: dict[str, object]) -> Path:
    """A manifest with a base and rows in the repository; `blocks` are merged over it."""
    (repository / "base").mkdir(exist_ok=True)
    (repository / "base/config.json").write_text('{"model_type": "llama"}')
    (repository / "rows.jsonl").write_text('{"messages": []}\n' * 3)
    content: dict[str, object] = {
        "apiVersion": "loraform/v1",
        "kind": "Experiment",
        "name": name,
        "owner": "team-a",
        "model": {"base": "./base"},
        "data": {"train": "rows.jsonl"},
        "adapter": {"r": 4},
        "serving": {"max_replica_count": 1},
    }
    for block, values in blocks.items():
        before = content.get(block)
        content[block] = {**before, **values} if isinstance(before, dict) and isinstance(values, dict) else values
    path = repository / f"experiments/{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path
