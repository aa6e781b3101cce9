"""`loraform plan` in its other forms, and against a revision, on real commits with no server at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.cli.main import run
from tests.cli.commits import commit
from tests.cli.conftest import write_experiment

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def tree(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A commit that declares `bot` with rank 4, and a working tree in which it is 16."""
    monkeypatch.chdir(repository)
    write_experiment(repository, "bot")
    commit(repository, "one")
    write_experiment(repository, "bot", adapter={"r": 16})
    return repository


@pytest.fixture
def actions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a step of GitHub Actions."""
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path


def outputs(actions: Path) -> dict[str, str]:
    lines = (actions / "GITHUB_OUTPUT").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)  # type: ignore[misc]


def test_the_working_tree_is_planned_against_a_commit_without_a_server(tree: Path, capsys: Captured) -> None:
    code = run(["plan", "--against", "git:HEAD"])

    said = capsys.readouterr().out
    assert code == 2
    assert "adapter.r  4 -> 16" in said
    assert "..working tree" in said
    assert "--expect" not in said


def test_two_commits_are_planned_whatever_the_working_tree_is(tree: Path, capsys: Captured) -> None:
    commit(tree, "two")
    (tree / "experiments/bot.yaml").write_text("not: [a manifest")

    assert run(["plan", "--against", "git:HEAD~1..HEAD", "--format", "json"]) == 2
    assert json.loads(capsys.readouterr().out)["counts"]["create"] == 1


@pytest.mark.parametrize(
    ("against", "word"), [("main", "names no revision"), ("git:", "names no revision"), ("git:no", "`no`")]
)
def test_what_is_no_revision_is_said_so(tree: Path, capsys: Captured, against: str, word: str) -> None:
    assert run(["plan", "--against", against]) == 1
    assert word in capsys.readouterr().err


def test_one_plan_is_written_in_several_forms(tree: Path, tmp_path: Path, capsys: Captured) -> None:
    forms = [f"{form}={tmp_path / form}" for form in ("markdown", "json", "sarif", "text")]

    code = run(["plan", "--against", "git:HEAD", *(word for form in forms for word in ("--write", form))])

    assert code == 2
    assert "+   adapter.r: 16   # new run" in (tmp_path / "markdown").read_text()
    assert json.loads((tmp_path / "json").read_text())["changes"][0]["fields"][0]["after"] == 16
    assert json.loads((tmp_path / "sarif").read_text())["version"] == "2.1.0"
    assert (tmp_path / "text").read_text() == capsys.readouterr().out


@pytest.mark.parametrize("wrong", ["markdown", "github=x", "pdf=x", "json="])
def test_a_form_without_a_file_is_refused_before_anything_is_read(capsys: Captured, wrong: str) -> None:
    assert run(["plan", "--write", wrong]) == 1
    assert "FORMAT=FILE, with one of text, json, markdown, sarif" in capsys.readouterr().err


def test_github_gets_a_summary_and_outputs_and_changes_are_no_red_build(
    tree: Path, actions: Path, capsys: Captured
) -> None:
    code = run(["plan", "--against", "git:HEAD", "--format", "github"])

    assert code == 0
    assert "adapter.r  4 -> 16" in capsys.readouterr().out
    assert "| `bot` | retrain |" in (actions / "GITHUB_STEP_SUMMARY").read_text()
    told = outputs(actions)
    assert (told["changes"], told["blocked"]) == ("true", "false")


def test_errors_of_manifests_are_annotated_and_are_a_red_build(tree: Path, actions: Path, capsys: Captured) -> None:
    path = tree / "experiments/bot.yaml"
    path.write_text(path.read_text() + "rank: 4\n")

    code = run(["plan", "--against", "git:HEAD", "--format", "github", "--write", f"sarif={actions / 'sarif'}"])

    assert code == 1
    assert "::error file=experiments/bot.yaml,line=" in capsys.readouterr().out
    assert "nothing was planned" in (actions / "GITHUB_STEP_SUMMARY").read_text()
    assert outputs(actions)["blocked"] == "true"
    found = json.loads((actions / "sarif").read_text())["runs"][0]["results"]
    assert [item["level"] for item in found if "rank" in item["message"]["text"]] == ["error"]
