"""`loraform diff` on real commits, with no server at all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from reconciler.cli.main import run
from tests.cli.commits import commit, git
from tests.cli.conftest import write_experiment


@pytest.fixture
def tree(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit that declares `bot`; it is where we are."""
    monkeypatch.chdir(repository)
    write_experiment(repository, "bot")
    commit(repository, "one")
    return repository


def test_another_rank_is_a_new_run_and_the_working_tree_is_not_looked_at(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_experiment(tree, "bot", adapter={"r": 16})
    commit(tree, "two")
    (tree / "experiments/bot.yaml").write_text("not: [a manifest")
    before = git(tree, "status", "--porcelain")

    code = run(["diff", "HEAD~1", "HEAD"])

    said = capsys.readouterr()
    assert code == 2, said.err
    assert re.search(r"\+- training +adapter.r +4 -> 16 +new run", said.out)
    assert "loraform apply" not in said.out
    assert git(tree, "status", "--porcelain") == before
    assert list((tree / ".loraform/revisions").iterdir()) == []


def test_other_rows_in_the_repository_are_a_new_run(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "rows.jsonl").write_text('{"messages": [{}]}\n')
    commit(tree, "two")

    code = run(["diff", "HEAD~1"])

    assert code == 2
    assert re.search(r"training +data.train +rows.jsonl \(sha256 .* new run", capsys.readouterr().out)


def test_a_commit_that_nobody_feels_makes_no_difference(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tree / "experiments/bot.yaml"
    path.write_text(path.read_text().replace("team-a", "team-b"))
    commit(tree, "two")

    code = run(["diff", "HEAD~1", "main"])

    assert code == 0
    assert re.search(r"no difference .* nothing of 1 experiment would change on local", capsys.readouterr().out)


def test_a_base_that_git_ignores_is_taken_as_it_lies_here(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tree / ".loraform/made/base"
    made.mkdir(parents=True)
    (made / "config.json").write_text("{}")
    write_experiment(tree, "bot", model={"base": "./.loraform/made/base"})
    commit(tree, "two")

    code = run(["diff", "HEAD~1", "HEAD"])

    said = capsys.readouterr()
    assert code == 2, said.err
    assert "Ignored by git, so taken as it lies here: .loraform/made/base" in said.err
    assert (made / "config.json").read_text() == "{}"


def test_the_first_commit_of_loraform_is_all_new_and_json_keeps_to_the_schema(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = json.loads((Path(__file__).parents[2] / "schemas/json/plan.schema.json").read_text())
    git(tree, "checkout", "--quiet", "--orphan", "before")
    git(tree, "rm", "--quiet", "--cached", "-r", ".")
    git(tree, "commit", "--quiet", "--allow-empty", "--message", "zero")

    code = run(["diff", "before", "main", "--format", "json"])

    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, schema)
    assert code == 2
    assert {change["action"] for change in document["changes"]} == {"create", "wait"}
    assert document["diagnostics"][0]["path"] == "before:loraform.yaml"


def test_what_is_no_commit_and_what_cannot_be_read_are_said_with_their_place(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_experiment(tree, "bot", adapter={"rr": 16})
    commit(tree, "two")

    unknown, wrong = run(["diff", "nowhere"]), run(["diff", "HEAD~1", "HEAD"])

    said = capsys.readouterr().err
    assert (unknown, wrong) == (1, 1)
    assert "`nowhere` names no commit here" in said
    assert "HEAD:experiments/bot.yaml:" in said


def test_a_project_below_the_top_of_its_repository_has_its_revisions_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "models/llm"
    project.mkdir(parents=True)
    (project / "loraform.yaml").write_text("fleet: acme\n")
    write_experiment(project, "bot")
    commit(tmp_path, "one")
    (project / "link.jsonl").symlink_to("rows.jsonl")
    write_experiment(project, "bot", data={"train": "link.jsonl"})
    commit(tmp_path, "two")
    monkeypatch.chdir(project)

    code = run(["diff", "HEAD~1"])

    said = capsys.readouterr()
    assert code == 0, said.out + said.err
