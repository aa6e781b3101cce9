"""`loraform prune` on real commits and a real embedded Vertex AI: what goes, what it costs, and going back to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.main import run
from reconciler.cli.workplace import connect_only
from tests.cli.commits import commit, git
from tests.cli.conftest import write_experiment
from tests.cli.test_apply import PROGRAMS
from tests.emulator_fixture import emulator_calls, forget_calls, post, running_emulator

pytestmark = pytest.mark.slow

Captured = pytest.CaptureFixture[str]
RANKS = (4, 8, 16, 32, 64)


@pytest.fixture
def url(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Five trainings of `bot`, of which the oldest serves again, and the last twenty commits name it alone."""
    monkeypatch.chdir(repository)
    with running_emulator(repository / ".loraform/vertex", PROGRAMS) as url:
        for rank in (*RANKS, RANKS[0]):
            write_experiment(repository, "bot", adapter={"r": rank})
            commit(repository, f"Rank {rank}")
            assert run(["apply", "--wait"]) == 0
        for number in range(21):
            write_experiment(repository, "bot", adapter={"r": RANKS[0]}, description=f"Note {number}")  # type: ignore[arg-type]
            commit(repository, f"Note {number}")
        forget_calls(url)
        yield url


def objects(folder: str) -> list[str]:
    site = connect_only()
    return [item.name for item in site.storage.list(f"loraform/acme/{folder}")]


def pruned() -> list[str]:
    site = connect_only()
    listed = [item for item in site.storage.list("loraform/acme/runs/") if item.metadata.get("pruned") == "true"]
    assert all(json.loads(site.storage.read(item.name)[0])["pruned"] for item in listed)
    return [item.name for item in listed]


def test_what_nobody_needs_goes_and_comes_back_by_training(url: str, repository: Path, capsys: Captured) -> None:
    capsys.readouterr()

    shown, dry = run(["prune"]), capsys.readouterr().out
    untouched = (len(objects("artifacts/")), pruned())
    found = re.search(r"prune ([0-9a-f]{12})\n", dry)
    assert found, dry
    stale = run(["prune", "--yes", "--expect", "0123"])
    forget_calls(url)
    done, told = run(["prune", "--yes", "--expect", found[1]]), capsys.readouterr().out
    deleted = [call["method"] for call in emulator_calls(url) if "Delete" in call["method"]]
    left = (len(objects("artifacts/")), len(pruned()), len(objects("runs/")))
    again, calm = run(["prune"]), run(["plan"])
    capsys.readouterr()
    history, line = run(["history", "bot", "--limit", "60"]), capsys.readouterr().out
    write_experiment(repository, "bot", adapter={"r": 8})
    commit(repository, "Back to rank 8")
    planned, plan = run(["plan"]), capsys.readouterr().out
    trained = run(["apply", "--wait"])

    assert shown == 2
    assert re.search(r"1 to prune, 2 B; 4 kept \(1: it serves; 1: .* default one; 2: one of the newest three\)", dry)
    assert re.search(
        r"  - \w{6} +2 B  trained \d{4}-\d\d-\d\d by \w{6} Rank 8\n +to go back to it would train again, \d+ s", dry
    )
    assert untouched == (5, [])
    assert stale == 4
    assert done == 0, told
    assert re.search(r"pruned +bot \w{6}  1 object\n", told)
    assert deleted == ["ModelService.DeleteModelVersion"]
    assert left == (4, 1, 5)
    assert (again, calm) == (0, 0)
    assert history == 0
    assert "pruned" in line
    assert planned == 2
    assert re.search(r"bot +retrain, the artifact was pruned", plan)
    assert re.search(r"about \d+ s, as run \w{6} took", plan)
    assert trained == 0
    assert pruned() == []
    assert len(objects("artifacts/")) == 5


@pytest.mark.parametrize("method", ["storage.DELETE", "ModelService.DeleteModelVersion"])
def test_a_prune_that_ends_halfway_is_finished_by_the_next(url: str, capsys: Captured, method: str) -> None:
    post(f"{url}/emulator/faults", {"match": {"method": method}, "effect": {"status": 403}, "times": 1})
    capsys.readouterr()

    broken, marked = run(["prune", "--yes"]), pruned()
    between = len(objects("artifacts/"))
    needed = run(["plan"])
    capsys.readouterr()
    seen, words = run(["prune"]), capsys.readouterr().out
    finished = run(["prune", "--yes"])

    assert (broken, len(marked), between, needed) == (1, 1, 5, 0)
    assert seen == 2
    assert "pruned already, 1 objects of it are left" in words
    assert (finished, len(objects("artifacts/"))) == (0, 4)


def test_commits_that_name_a_run_keep_it_and_so_does_protection(url: str, repository: Path, capsys: Captured) -> None:
    path = write_experiment(repository, "bot", adapter={"r": RANKS[0]})
    path.write_text(path.read_text() + "protect: true\n")
    commit(repository, "Protect it")
    capsys.readouterr()

    protected, why = run(["prune"]), capsys.readouterr().out
    git(repository, "revert", "--no-edit", "HEAD")
    twin = write_experiment(repository, "twin", adapter={"r": 8})
    commit(repository, "A twin names the second run")
    twin.unlink()
    commit(repository, "And it goes")
    named, words = run(["prune"]), capsys.readouterr().out

    assert protected == 0
    assert "nothing to prune   local: 5 kept.\nkept: 1: it serves; 4: protected" in why
    assert named == 0, words


def test_without_the_older_commits_nothing_is_pruned(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(repository)
    with running_emulator(repository / ".loraform/vertex", PROGRAMS):
        write_experiment(repository, "bot")

        plain = run(["prune", "--yes"])
        commit(repository, "one")
        commit(repository, "two")
        git(repository, "clone", "--quiet", "--depth", "1", f"file://{repository}", ".loraform/shallow")
        (repository / ".loraform/shallow/.loraform").mkdir()
        (repository / ".loraform/shallow/.loraform/vertex").symlink_to(repository / ".loraform/vertex")
        monkeypatch.chdir(repository / ".loraform/shallow")
        shallow = run(["prune", "--yes"])

    said = capsys.readouterr().err
    assert (plain, shallow) == (3, 3)
    assert "Without git nobody can say" in said
    assert "git fetch --unshallow" in said
