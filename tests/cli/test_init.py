from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import LORAFORM


def loraform(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LORAFORM, *arguments], cwd=folder, capture_output=True, text=True)


def test_a_scaffolded_repository_is_valid(tmp_path: Path) -> None:
    made = loraform(tmp_path, "init")

    checked = loraform(tmp_path, "validate")

    assert made.returncode == 0, made.stderr
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout == "1 manifest: nothing wrong.\n"


def test_the_example_names_a_schema_that_is_there(tmp_path: Path) -> None:
    loraform(tmp_path, "init")

    example = tmp_path / "experiments/example.yaml"
    first = example.read_text().splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (example.parent / first.partition("$schema=")[2]).is_file()
    project = tmp_path / "loraform.yaml"
    assert (tmp_path / project.read_text().splitlines()[0].partition("$schema=")[2]).is_file()


def test_what_loraform_keeps_on_this_machine_is_ignored_by_git(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.log\n")

    loraform(tmp_path, "init")
    loraform(tmp_path, "init")

    assert (tmp_path / ".gitignore").read_text() == "*.log\n.loraform/\n"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "loraform.yaml").write_text("mine\n")

    answer = loraform(tmp_path, "init")

    assert answer.returncode == 0
    assert "kept     loraform.yaml" in answer.stdout
    assert (tmp_path / "loraform.yaml").read_text() == "mine\n"


def test_the_fleet_can_be_chosen(tmp_path: Path) -> None:
    loraform(tmp_path, "init", "repo", "--fleet", "acme7")

    assert "fleet: acme7\n" in (tmp_path / "repo/loraform.yaml").read_text()


@pytest.mark.parametrize("fleet", ["Acme", "7up", "a-b", "x" * 19])
def test_a_fleet_that_labels_cannot_carry_is_refused(tmp_path: Path, fleet: str) -> None:
    answer = loraform(tmp_path, "init", "--fleet", fleet)

    assert answer.returncode == 1
    assert "--fleet acme" in answer.stderr
    assert not (tmp_path / "loraform.yaml").exists()
