"""`loraform history` and `loraform blame` on real commits that a real embedded Vertex AI was made equal to."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from reconciler.cli.main import run
from tests.cli.commits import commit, git
from tests.cli.conftest import write_experiment
from tests.cli.test_apply import PROGRAMS
from tests.emulator_fixture import running_emulator

pytestmark = pytest.mark.slow

Captured = pytest.CaptureFixture[str]


def manifest(repository: Path, rank: int, owner: str = "team-a") -> None:
    path = write_experiment(repository, "bot", adapter={"r": rank})
    path.write_text(path.read_text().replace("team-a", owner))


def test_each_commit_is_shown_with_what_became_of_it_and_the_one_that_answers_is_blamed(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(repository)
    with running_emulator(repository / ".loraform/vertex", PROGRAMS):
        manifest(repository, 4)
        first = commit(repository, "Begin")
        assert run(["apply", "--wait"]) == 0
        manifest(repository, 16)
        second = commit(repository, "Raise the rank\x1b[31m", "Eve\x1b]0; <eve@example.com>")
        assert run(["apply", "--wait"]) == 0
        manifest(repository, 16, "team-b")
        third = commit(repository, "Hand it over")
        git(repository, "revert", "--no-edit", second[:40], "--strategy-option=theirs")
        fourth = git(repository, "rev-parse", "HEAD")
        capsys.readouterr()

        codes = [run(["history", "bot"]), run(["blame", "bot"]), run(["blame", "lf-acme-bot"])]
        text = capsys.readouterr().out
        codes.append(run(["history", "bot", "--format", "json"]))
        rows = json.loads(capsys.readouterr().out)["commits"]
        codes.append(run(["blame", "bot", "--format", "json"]))
        blamed = json.loads(capsys.readouterr().out)
        codes.append(run(["history", "bot", "--format", "markdown"]))
        table = capsys.readouterr().out

    assert codes == [0] * 6
    assert "\x1b" not in text + table
    assert [row["commit"] for row in rows] == [fourth, third, second, first]
    assert [(row["kind"], row["reused"]) for row in rows] == [
        ("new run", True), ("nothing", False), ("new run", False), ("new", False),
    ]  # fmt: skip
    assert [row["run"]["metrics"] for row in rows] == [{"eval_loss": 0.5}] * 4
    assert [row["model_version"] for row in rows] == ["1", "2", "2", "1"]
    assert [row["traffic"] for row in rows] == [None, 100, None, None]
    assert [[share["traffic"] for share in row["served"]] for row in rows] == [[100, 0], [100], [], []]
    assert [row["commit"] for row in blamed["answers"]] == [third]
    assert (blamed["answers"][0]["model_commit"], blamed["unexplained"]) == (second, [])
    assert text.count(f"  100 %  {third[:7]}") == 2
    assert re.search(r"run reused +Revert", text)
    assert "adapter.r  4 -> 16  (new run)" in text
    assert table.count("\n| `") == 4


def test_renames_other_rows_and_a_deleted_manifest_are_followed_without_any_server(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(repository)
    old = write_experiment(repository, "bot", description="x" * 400)
    commit(repository, "one")
    new = repository / "experiments/helper.yaml"
    git(repository, "mv", str(old), str(new))
    new.write_text(new.read_text().replace("name: bot", "name: helper\nmoved_from: bot"))
    commit(repository, "two")
    (repository / "rows.jsonl").write_text('{"messages": [1]}\n')
    commit(repository, "three")
    project = repository / "loraform.yaml"
    project.write_text(project.read_text() + "defaults: {serving: {max_replica_count: 1}}\n")
    commit(repository, "four")
    whole = new.read_text()
    new.write_text(f"{whole}typo: 1\n")
    commit(repository, "five")
    new.write_text(whole)
    commit(repository, "six")
    new.unlink()
    commit(repository, "seven")

    code = run(["history", "helper", "--format", "json"])
    said = capsys.readouterr()
    limited = run(["history", "helper", "--format", "json", "--limit", "1", "--offline"])
    newest = json.loads(capsys.readouterr().out)["commits"]
    unknown = run(["history", "helpe"])

    rows = json.loads(said.out)["commits"]
    assert (code, limited, unknown) == (0, 0, 1)
    assert "Only what git tells: The embedded Vertex AI is not running" in said.err
    assert [(row["subject"], row["kind"], row["experiment"]) for row in rows] == [
        ("seven", "removed", "helper"),
        ("six", "nothing", "helper"),
        ("five", "cannot be read", "helper"),
        ("three", "new run", "helper"),
        ("two", "renamed", "helper"),
        ("one", "new", "bot"),
    ]
    assert [item["path"] for item in rows[3]["fields"]] == ["data.train"]
    assert [row["subject"] for row in newest] == ["seven"]


def test_blame_says_that_nothing_answers_and_history_that_nothing_is_committed(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(repository)
    commit(repository, "one")
    write_experiment(repository, "bot")

    uncommitted = run(["history", "bot"])
    commit(repository, "two")
    with running_emulator(repository / ".loraform/vertex", PROGRAMS):
        silent = run(["blame", "bot"])

    said = capsys.readouterr().err
    assert (uncommitted, silent) == (1, 1)
    assert "is in no commit of this branch" in said
    assert "Nothing answers for bot now." in said


def test_a_shallow_clone_says_that_it_does_not_know_all(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    for rank in (4, 8):
        manifest(repository, rank)
        commit(repository, f"rank {rank}")
    clone = tmp_path_factory.mktemp("clone")
    git(clone, "clone", "--quiet", "--depth=1", f"file://{repository}", ".")
    monkeypatch.chdir(clone)

    code = run(["history", "bot", "--offline"])

    said = capsys.readouterr()
    assert code == 0
    assert "git fetch --unshallow" in said.err
    assert "rank 8" in said.out
    assert "rank 4" not in said.out
