"""`protect: true`: nothing that an experiment owns goes, by whatever way, until a commit without it was applied."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.main import run
from tests.cli.commits import commit
from tests.cli.conftest import write_experiment
from tests.cli.test_apply import PROGRAMS
from tests.emulator_fixture import emulator_calls, forget_calls, running_emulator

pytestmark = pytest.mark.slow

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def url(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.chdir(repository)
    with running_emulator(repository / ".loraform/vertex", PROGRAMS) as url:
        write_experiment(repository, "other", adapter={"r": 2})
        yield url


def write_bot(repository: Path, *, protect: bool, **blocks: dict[str, object]) -> Path:
    path = write_experiment(repository, "bot", **blocks)
    path.write_text(path.read_text() + f"protect: {str(protect).lower()}\n")
    return path


def gone(url: str) -> list[str]:
    """The calls that took something away since the last look."""
    methods = [call["method"].partition(".")[2] for call in emulator_calls(url)]
    forget_calls(url)
    return [method for method in methods if method.startswith(("Delete", "Undeploy", "Cancel"))]


def test_a_protected_experiment_outlives_its_manifest_gc_and_destroy(
    url: str, repository: Path, capsys: Captured
) -> None:
    path = write_bot(repository, protect=True)
    commit(repository, "Begin")
    assert run(["apply", "--wait"]) == 0
    path.unlink()
    commit(repository, "Remove the bot and its protection at once")
    capsys.readouterr()

    codes = [run(["plan"]), run(["apply"]), run(["gc", "--yes"]), run(["destroy", "bot", "--yes"])]
    said = capsys.readouterr()
    untouched = gone(url)
    write_bot(repository, protect=False)
    commit(repository, "Let it go")
    lifted = run(["apply", "--wait"])
    path.unlink()
    commit(repository, "Remove the bot")
    ended = run(["apply", "--wait"])

    assert codes == [3, 3, 3, 3]
    assert re.search(r"! endpoint +apply a commit without `protect: true` first +protected", said.out)
    assert "The endpoint of bot is protected" in said.err
    assert untouched == []
    assert (lifted, ended) == (0, 0)
    assert gone(url) == ["UndeployModel", "DeleteEndpoint"]


def test_two_commits_of_which_only_the_last_is_applied_are_one(url: str, repository: Path) -> None:
    path = write_bot(repository, protect=True)
    commit(repository, "Begin")
    assert run(["apply", "--wait"]) == 0
    write_bot(repository, protect=False)
    commit(repository, "Let it go")
    path.unlink()
    commit(repository, "Remove it")

    assert run(["apply"]) == 3
    assert gone(url) == []


def test_serving_that_is_taken_out_of_a_protected_manifest_is_held(url: str, repository: Path) -> None:
    path = write_bot(repository, protect=True)
    assert run(["apply", "--wait"]) == 0
    text = path.read_text()
    path.write_text(re.sub(r"serving:\n(  .*\n)+", "", text))
    assert "serving" not in path.read_text()

    assert run(["apply"]) == 3
    assert gone(url) == []


def test_recreation_of_what_is_protected_is_held_and_a_roll_beside_it_is_not(
    url: str, repository: Path, capsys: Captured
) -> None:
    write_bot(repository, protect=True)
    assert run(["apply", "--wait"]) == 0
    recreate: dict[str, object] = {"max_replica_count": 1, "rollout": {"strategy": "recreate"}}
    write_bot(repository, protect=True, adapter={"r": 16}, serving=recreate)
    capsys.readouterr()

    held, words, untouched = run(["apply", "--wait"]), capsys.readouterr().out, gone(url)
    write_bot(repository, protect=True, adapter={"r": 16})
    rolled = run(["apply", "--wait"])

    assert held == 3
    assert "`strategy: recreate` deletes what serves first" in words
    assert untouched == []
    assert rolled == 0
    assert gone(url) == ["UndeployModel"]


def test_a_run_that_was_started_protected_is_held_when_its_manifest_goes(
    url: str, repository: Path, capsys: Captured
) -> None:
    path = write_bot(repository, protect=True, training={"seed": 8})
    assert run(["apply"]) == 0
    path.unlink()
    capsys.readouterr()

    held, words, untouched = run(["apply"]), capsys.readouterr().out, gone(url)
    refused = run(["destroy", "bot", "--yes"])
    cancelled = run(["cancel", "bot"])

    assert held == 3
    assert "let it finish, or end it with `loraform cancel bot`" in words
    assert untouched == []
    assert (refused, cancelled) == (3, 0)
    assert gone(url) == ["CancelCustomJob"]
