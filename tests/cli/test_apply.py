"""The command against a real embedded Vertex AI whose trainer is quick and whose server answers with its input."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import jsonschema
import psutil
import pytest

from reconciler.cli.main import run
from tests.cli.conftest import LORAFORM, Loraform, write_experiment
from tests.emulator_fixture import running_emulator, start_emulator

pytestmark = pytest.mark.slow

TRAINER = [sys.executable, str(Path(__file__).parent / "trainer.py")]


PROGRAMS = {"loraform/train": TRAINER, "loraform/serve": "stub"}


@pytest.fixture
def command(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Loraform:
    """The command, in this process and so without the time of its imports."""
    monkeypatch.chdir(repository)

    def answer(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        with redirect_stdout(out), redirect_stderr(err):
            code = run(list(arguments))
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    return answer


@pytest.fixture
def up(command: Loraform, repository: Path) -> Iterator[Loraform]:
    """The same, beside a running embedded Vertex AI."""
    with running_emulator(repository / ".loraform/vertex", PROGRAMS):
        yield command


def plan_id(text: str) -> str:
    found = re.search(r"plan ([0-9a-f]{12})", text)
    assert found, text
    return found[1]


def test_a_new_experiment_is_planned_applied_and_then_in_sync(up: Loraform, repository: Path) -> None:
    write_experiment(repository, "bot")

    planned, applied, again = up("plan"), up("apply", "--wait"), up("plan")

    assert planned.returncode == 2, planned.stderr
    assert "2 to create" in planned.stdout
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert applied.stdout.count("created    bot training") == 1
    assert again.returncode == 0
    assert again.stdout == "in sync   local: 1 experiment as git says.\n"


def test_changes_cost_what_their_fields_say(up: Loraform, repository: Path) -> None:
    write_experiment(repository, "bot")
    up("apply", "--wait")
    before = up("plan", "--format", "json")

    path = repository / "experiments/bot.yaml"
    path.write_text(path.read_text().replace("owner: team-a", "owner: team-b"))
    owner = up("plan")
    write_experiment(repository, "bot", serving={"max_replica_count": 3})
    replicas = up("plan")
    write_experiment(repository, "bot", serving={"engine": {"max_model_len": 512}})
    engine = up("plan")
    write_experiment(repository, "bot", adapter={"r": 16})
    rank = up("plan")

    assert json.loads(before.stdout)["in_sync"] is True
    assert (owner.returncode, "in sync" in owner.stdout) == (0, True)
    assert replicas.returncode == 2
    assert re.search(r"~ deployment +serving.max_replica_count +1 -> 3 +no interruption", replicas.stdout)
    assert engine.returncode == 2
    assert "nothing is trained" in engine.stdout
    assert rank.returncode == 2
    assert re.search(r"\+- training +adapter.r +4 -> 16 +new run", rank.stdout)


def test_a_revert_redeploys_and_trains_nothing(up: Loraform, repository: Path) -> None:
    write_experiment(repository, "bot")
    up("apply", "--wait")
    write_experiment(repository, "bot", adapter={"r": 16})
    up("apply", "--wait")

    write_experiment(repository, "bot")
    planned, applied, after = up("plan"), up("apply", "--wait"), up("plan")

    assert "training" not in re.sub("nothing is trained|training .* reused", "", planned.stdout), planned.stdout
    assert "created    bot training" not in applied.stdout
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert after.returncode == 0


def test_an_expected_plan_that_is_stale_is_refused_and_the_new_one_shown(up: Loraform, repository: Path) -> None:
    write_experiment(repository, "bot")
    old = plan_id(up("plan").stdout)
    write_experiment(repository, "bot", adapter={"r": 16})

    answer = up("apply", "--expect", old)

    assert answer.returncode == 4
    assert plan_id(answer.stdout) != old
    assert "nothing was done" in answer.stderr
    assert "created" not in answer.stdout


def test_an_expected_plan_that_holds_is_applied(up: Loraform, repository: Path) -> None:
    write_experiment(repository, "bot")

    answer = up("apply", "--expect", plan_id(up("plan").stdout))

    assert answer.returncode == 0, answer.stderr
    assert "created    bot endpoint" in answer.stdout


def test_a_failed_training_is_held_with_its_cause_and_its_log(up: Loraform, repository: Path) -> None:
    write_experiment(repository, "bot", training={"seed": 7})

    applied, planned, status, logs = up("apply", "--wait"), up("plan"), up("status"), up("logs", "bot")

    assert applied.returncode == 3, applied.stdout + applied.stderr
    assert "held" in applied.stdout
    assert planned.returncode == 3
    assert "held" in status.stdout
    assert "failed: train.jsonl:3: no answer" in logs.stdout


def test_an_interrupted_wait_says_so_and_goes_on_later(up: Loraform, repository: Path) -> None:
    write_experiment(repository, "bot", training={"seed": 8})
    process = subprocess.Popen(
        [LORAFORM, "apply", "--wait"], cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while "running" not in up("status").stdout and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(6)  # longer than two lines of progress are apart

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    lease, cancelled = up("unlock"), up("cancel", "bot")

    assert process.returncode == 130
    assert "Interrupted." in out
    assert re.search(r"bot training: step \d+ of 600, loss [\d.]+", err), err
    assert lease.stdout == "Nobody holds the lease.\n"
    assert cancelled.stdout.startswith("cancelled  projects/")


def test_down_ends_the_programs_of_a_server_that_was_killed(command: Loraform, repository: Path) -> None:
    write_experiment(repository, "bot", training={"seed": 8})
    server = start_emulator(repository / ".loraform/vertex", PROGRAMS)
    command("apply")
    deadline = time.monotonic() + 20
    while not (children := psutil.Process(server.pid).children(recursive=True)) and time.monotonic() < deadline:
        time.sleep(0.1)

    server.kill()
    server.wait()
    answer = command("down")

    assert children
    assert "It had been killed" in answer.stdout
    assert not any(child.is_running() for child in children)


def test_a_cancelled_training_stays_held(up: Loraform, repository: Path) -> None:
    write_experiment(repository, "bot", training={"seed": 8})
    up("apply")

    up("cancel", "bot")
    applied = up("apply", "--wait")

    assert applied.returncode == 3, applied.stdout
    assert "created    bot training" not in applied.stdout


def test_a_served_experiment_answers_sleeps_wakes_and_goes(up: Loraform, repository: Path) -> None:
    write_experiment(repository, "bot")
    up("apply", "--wait")

    status, answer = up("status"), up("predict", "bot", "Who are you?")
    suspended, asleep, held = up("suspend", "bot"), up("predict", "bot", "Who?"), up("apply", "--wait")
    resumed = up("resume", "bot", "--wait")
    refused, gone, empty = up("destroy", "bot", typed="n\n"), up("destroy", "bot", "--yes"), up("status")

    assert re.search(r"bot +trained +version 1 +ready [0-9a-f]{6} +100 % +\S+ +in sync", status.stdout)
    assert "Who are you?" in answer.stdout
    assert suspended.returncode == 0
    assert (asleep.returncode, "loraform resume bot" in asleep.stderr) == (1, True)
    assert held.returncode == 0, held.stdout
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert refused.returncode != 0
    assert gone.returncode == 0, gone.stderr
    assert re.search(r"bot +trained +version 1.* - +- +- ", empty.stdout)


def test_a_plan_as_json_keeps_to_the_schema(up: Loraform, repository: Path) -> None:
    write_experiment(repository, "bot")
    schema = json.loads((Path(__file__).parents[2] / "schemas/json/plan.schema.json").read_text())

    answer = up("plan", "--format", "json")

    jsonschema.validate(json.loads(answer.stdout), schema)
    assert answer.returncode == 2


def test_a_selection_applies_nothing_else_and_removes_nothing(up: Loraform, repository: Path) -> None:
    for name in ("one", "two"):
        write_experiment(repository, name)

    answer, unknown = up("plan", "one"), up("plan", "onee")

    assert "two" not in answer.stdout
    assert unknown.returncode == 1
    assert "Did you mean `one`?" in unknown.stderr


def test_a_repository_without_experiments_is_refused(up: Loraform) -> None:
    answer = up("apply")

    assert answer.returncode == 3
    assert "would be to remove everything" in answer.stderr


def test_without_a_running_server_the_error_says_how_to_start_it(command: Loraform, repository: Path) -> None:
    write_experiment(repository, "bot")

    answers = [command(*words) for words in (["plan"], ["apply"], ["status"], ["predict", "bot", "x"])]

    assert {answer.returncode for answer in answers} == {1}
    assert all("loraform up --detach" in answer.stderr for answer in answers)


def test_nothing_that_is_printed_without_a_terminal_has_a_control_code(up: Loraform, repository: Path) -> None:
    write_experiment(repository, "bot")

    answers = up("plan"), up("apply"), up("status"), up("predict", "bot", "x")

    assert all("\x1b" not in answer.stdout + answer.stderr for answer in answers)


def test_a_new_version_takes_over_in_steps(up: Loraform, repository: Path) -> None:
    rollout = {"steps": [25, 100], "hold": "1s"}
    write_experiment(repository, "bot", serving={"rollout": rollout})
    up("apply", "--wait")

    write_experiment(repository, "bot", serving={"rollout": rollout, "engine": {"max_model_len": 512}})
    planned, applied, after = up("plan"), up("apply", "--wait"), up("plan")

    assert "25" in planned.stdout, planned.stdout
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert re.search(r"traffic 0 -> 25(.|\n)*traffic 25 -> 100", applied.stdout), applied.stdout
    assert after.returncode == 0, after.stdout
