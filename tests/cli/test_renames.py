"""An experiment that gets another name, on real commits and a real embedded Vertex AI: nothing is lost or made."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.main import run
from tests.cli.commits import commit, git
from tests.cli.conftest import write_experiment
from tests.cli.test_apply import PROGRAMS
from tests.emulator_fixture import emulator_calls, forget_calls, running_emulator

pytestmark = pytest.mark.slow

Captured = pytest.CaptureFixture[str]
MUTATES = ("Create", "Update", "Delete", "Deploy", "Undeploy", "Mutate", "Upload", "Cancel")


@pytest.fixture
def url(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A repository whose one experiment `bot` is committed, applied and serving."""
    monkeypatch.chdir(repository)
    with running_emulator(repository / ".loraform/vertex", PROGRAMS) as url:
        write_experiment(repository, "bot")
        commit(repository, "Begin")
        assert run(["apply", "--wait"]) == 0
        forget_calls(url)
        yield url


def rename(repository: Path, old: str, new: str, former: str, **blocks: dict[str, object]) -> None:
    (repository / f"experiments/{old}.yaml").unlink()
    path = write_experiment(repository, new, **blocks)
    path.write_text(path.read_text() + (f"moved_from: {former}\n" if former else ""))
    commit(repository, f"Call it {new}")


def written(url: str) -> Counter[str]:
    """The mutating calls since the last look."""
    calls = [call["method"].partition(".")[2] for call in emulator_calls(url)]
    forget_calls(url)
    return Counter(method for method in calls if method.startswith(MUTATES))


def test_another_name_of_the_file_alone_is_nothing(url: str, repository: Path, capsys: Captured) -> None:
    git(repository, "mv", "experiments/bot.yaml", "experiments/support.yaml")
    commit(repository, "Move the file")

    assert run(["plan"]) == 0
    assert "in sync" in capsys.readouterr().out


def test_a_rename_adopts_what_is_live_and_goes_on_with_its_names(url: str, repository: Path, capsys: Captured) -> None:
    rename(repository, "bot", "helper", "bot")
    capsys.readouterr()

    planned, plan = run(["plan"]), capsys.readouterr().out
    applied, adopted = run(["apply", "--wait"]), written(url)
    again = run(["plan"])
    rename(repository, "helper", "helper", "")
    without, quiet = run(["plan"]), capsys.readouterr().out
    asked = [run(["predict", "helper", "hello"]), run(["suspend", "helper"]), run(["resume", "helper"])]
    back = run(["apply", "--wait"])
    written(url)
    write_experiment(repository, "helper", adapter={"r": 16})
    commit(repository, "Raise the rank")
    raised, made = run(["apply", "--wait"]), written(url)
    git(repository, "revert", "--no-edit", "HEAD")
    capsys.readouterr()
    reverted, revert = run(["apply", "--wait"]), written(url)
    calm = [run(["plan"]), run(["orphans"]), run(["drift"])]
    capsys.readouterr()
    run(["status"])
    status = capsys.readouterr().out

    assert planned == 2
    assert re.search(r"helper +adopted\n", plan)
    assert re.search(r"~ endpoint +name +bot -> helper +a label\n +adopted from bot", plan)
    assert "training" not in plan
    assert "deployment" not in plan
    assert (applied, adopted) == (0, Counter(UpdateEndpoint=1, UpdateModel=1))
    assert (again, without) == (0, 0)
    assert "in sync" in quiet
    assert asked == [0, 0, 0]
    assert back == 0
    assert (raised, made["CreateCustomJob"], made["UploadModel"], made["DeployModel"]) == (0, 1, 1, 1)
    assert made["CreateEndpoint"] == 0
    assert (reverted, revert["CreateCustomJob"], revert["UploadModel"], revert["DeployModel"]) == (0, 0, 0, 1)
    assert calm == [0, 0, 0]
    assert re.search(r"helper +trained +version 1 +ready \w{6} +100 % +lf-acme-bot +in sync", status)
    assert len(status.splitlines()) == 2


def test_a_name_that_was_given_away_is_not_to_be_had_again(url: str, repository: Path, capsys: Captured) -> None:
    rename(repository, "bot", "helper", "bot")
    assert run(["apply"]) == 0
    rename(repository, "helper", "helper", "")
    write_experiment(repository, "bot", adapter={"r": 2})
    commit(repository, "Another bot")
    capsys.readouterr()

    code = run(["plan"])

    assert code == 2
    assert "lf-acme-bot is the endpoint of helper: give this experiment another name" in capsys.readouterr().out


def test_two_renames_of_which_only_the_second_is_applied_need_both_names(
    url: str, repository: Path, capsys: Captured
) -> None:
    rename(repository, "bot", "helper", "bot")
    rename(repository, "helper", "agent", "[helper, bot]")
    capsys.readouterr()

    assert run(["apply"]) == 0
    assert "adopted from bot" in capsys.readouterr().out
    assert written(url) == Counter(UpdateEndpoint=1, UpdateModel=1)
    assert run(["plan"]) == 0


def test_a_word_that_comes_too_late_is_held_on_the_former_side(url: str, repository: Path, capsys: Captured) -> None:
    path = write_experiment(repository, "helper", adapter={"r": 2})
    assert run(["apply", "--wait"]) == 0
    (repository / "experiments/bot.yaml").unlink()
    text = path.read_text()
    path.write_text(text + "moved_from: bot\n")
    written(url)
    capsys.readouterr()

    late, held = run(["plan"]), capsys.readouterr().out
    applied, nothing = run(["apply"]), written(url)
    path.write_text(text)
    gone = run(["apply", "--wait"])

    assert late in (2, 3)
    assert "helper has an endpoint of its own, lf-acme-helper: take `moved_from` out" in held
    assert applied == 3
    assert nothing["DeleteEndpoint"] == nothing["UndeployModel"] == 0
    assert gone == 0
    assert written(url)["DeleteEndpoint"] == 1


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"bot": "", "helper": "bot"}, "`bot` still exists, in experiments/bot.yaml"),
        ({"helper": "bot", "agent": "bot"}, "`agent` has moved from `bot` as well, says experiments/agent.yaml:"),
        ({"bot": "helper", "helper": "bot"}, "`bot` and `helper` cannot change names with each other in one commit"),
        ({"bot": "helper", "helper": "agent"}, "`helper` still exists, in experiments/helper.yaml"),
        ({"helper": "helper"}, "an experiment cannot have moved from its own name"),
    ],
)
def test_names_that_clash_are_errors(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, names: dict[str, str], words: str
) -> None:
    monkeypatch.chdir(repository)
    for name, former in names.items():
        path = write_experiment(repository, name)
        path.write_text(path.read_text() + (f"moved_from: {former}\n" if former else ""))

    code = run(["validate"])

    assert code == 1
    assert words in capsys.readouterr().out


def test_history_follows_a_name_in_a_file_of_several_manifests_while_moved_from_stays(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(repository)
    beside = write_experiment(repository, "beside", adapter={"r": 2})
    path = write_experiment(repository, "bot")
    both = f"{path.read_text()}---\n{beside.read_text()}"
    beside.unlink()
    path.write_text(both)
    commit(repository, "Begin")
    path.write_text(both.replace("name: bot", "name: helper\nmoved_from: bot", 1))
    commit(repository, "Call it helper")
    path.write_text(both.replace("name: bot", "name: helper\nmoved_from: bot\ndescription: more", 1))
    commit(repository, "Say more")

    code = run(["history", "helper", "--offline"])

    said = capsys.readouterr().out
    assert code == 0
    assert "cannot be read" not in said
    assert re.search(r"Call it helper(.|\n)*renamed|renamed(.|\n)*Call it helper", said), said
