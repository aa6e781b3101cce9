"""The ladder of a run on a real embedded Vertex AI: strategies and regions are tried in turn, each try on record."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.main import run
from tests.cli.conftest import Loraform, write_experiment
from tests.cli.test_apply import PROGRAMS
from tests.emulator_fixture import emulator_calls, emulator_card, post, running_emulator

pytestmark = pytest.mark.slow

PROJECT = """\
apiVersion: loraform/v1
kind: Project
fleet: acme
targets:
  local: {kind: local, buckets: {europe-west4: loraform-europe}}
"""
LADDER: dict[str, Any] = {"scheduling": {"strategy": ["spot", "standard"]}, "regions": ["us-central1", "europe-west4"]}
Start = Callable[..., Any]


@pytest.fixture
def start(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """The command beside an embedded Vertex AI, which is started with the options that are given."""
    monkeypatch.chdir(repository)
    (repository / "loraform.yaml").write_text(PROJECT)

    def answer(*arguments: str) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = run(list(arguments))
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    @contextmanager
    def started(*options: str) -> Iterator[Loraform]:
        with running_emulator(repository / ".loraform/vertex", PROGRAMS, *options):
            yield answer

    return started


def url_of(repository: Path) -> str:
    return str(emulator_card(repository / ".loraform/vertex")["url"])


def order(repository: Path, effect: dict[str, object], times: int) -> None:
    body = {"match": {"method": "JobService.CreateCustomJob"}, "times": times, "effect": effect}
    post(f"{url_of(repository)}/emulator/faults", body)


def created(repository: Path) -> list[str]:
    """The region of every CreateCustomJob, in their order, with the answer's status."""
    return [
        f"{call['resource'].split('/')[3]} {call['status']}"
        for call in emulator_calls(url_of(repository))
        if call["method"] == "JobService.CreateCustomJob"
    ]


def wait_for(loraform: Loraform, words: str) -> None:
    """Look at the plan until it says so."""
    for _ in range(200):
        if words in (planned := loraform("plan").stdout):
            return
    raise AssertionError(planned)


def test_a_run_climbs_through_strategies_and_regions_until_there_is_a_machine(start: Start, repository: Path) -> None:
    write_experiment(repository, "bot", run=LADDER)
    with start() as loraform:
        order(repository, {"stock_out": "run"}, times=3)

        applied, planned = loraform("apply", "--wait"), loraform("plan")

        assert applied.returncode == 0, applied.stdout + applied.stderr
        assert planned.returncode == 0, planned.stdout
        assert created(repository) == ["us-central1 200", "us-central1 200", "europe-west4 200", "europe-west4 200"]


def test_a_try_says_where_it_stands_and_what_was_before_it(start: Start, repository: Path) -> None:
    write_experiment(repository, "bot", run=LADDER, training={"seed": 8})
    with start() as loraform:
        order(repository, {"stock_out": "run"}, times=2)
        for words in ("rung 2 of 4: standard in us-central1", "rung 3 of 4: spot in europe-west4"):
            loraform("apply")
            wait_for(loraform, f"retry on {words}")
        loraform("apply")
        wait_for(loraform, "running, rung 3 of 4: spot in europe-west4")

        explained, cancelled = loraform("explain", "bot"), loraform("cancel", "bot")

        assert explained.returncode == 0
        assert "stock-out  spot us-central1" in explained.stdout
        assert "stock-out  standard us-central1" in explained.stdout
        assert cancelled.returncode == 0, cancelled.stderr


def test_a_refusal_for_lack_of_machines_is_remembered_and_the_next_rung_taken(start: Start, repository: Path) -> None:
    write_experiment(repository, "bot", run=LADDER)
    with start() as loraform:
        order(repository, {"stock_out": "create"}, times=2)

        applied = loraform("apply", "--wait")

        assert applied.returncode == 0, applied.stdout + applied.stderr
        assert "stock-out" in applied.stdout
        assert created(repository) == ["us-central1 429", "us-central1 429", "europe-west4 200"]


def test_without_quota_for_spot_machines_the_standard_ones_are_taken(start: Start, repository: Path) -> None:
    machine = {"machine_type": "g2-standard-12", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}
    write_experiment(repository, "bot", run={**LADDER, "machine": machine})
    quotas = repository / "quotas.json"
    quotas.write_text(json.dumps([{"metric": "custom_model_training_preemptible_nvidia_l4_gpus", "limit": 0}]))
    with start("--quotas", str(quotas)) as loraform:
        applied = loraform("apply", "--wait")

        assert applied.returncode == 0, applied.stdout + applied.stderr
        assert created(repository) == ["us-central1 429", "us-central1 200"]


def test_what_no_rung_has_is_held_after_five_rounds_and_explained(start: Start, repository: Path) -> None:
    write_experiment(repository, "bot", run={"scheduling": {"strategy": ["spot", "standard"]}})
    with start() as loraform:
        order(repository, {"stock_out": "create"}, times=99)
        loraform("apply")
        loraform("apply")

        waiting, explained = loraform("plan"), loraform("explain", "bot")

        assert "stock-out: the region has no free machine of this kind" in waiting.stdout
        assert "rung 1 of 2: spot, try 3 from " in waiting.stdout
        assert "spot us-central1  refused-1" in explained.stdout
        assert "standard us-central1  refused-2" in explained.stdout


def test_a_region_without_a_bucket_is_an_error_in_the_cloud(start: Start, repository: Path) -> None:
    write_experiment(repository, "bot", run={"regions": ["asia-east1"]})
    text = PROJECT + "  prod: {project: acme-ml, region: europe-west4, bucket: acme-llm}\n"
    (repository / "loraform.yaml").write_text(text)
    with start() as loraform:
        here, there = loraform("validate"), loraform("validate", "--target", "prod")

        assert here.returncode == 0, here.stdout
        assert there.returncode == 1
        assert "has no bucket in asia-east1" in there.stdout + there.stderr


def test_a_run_in_another_region_is_cancelled_when_git_no_longer_wants_it(start: Start, repository: Path) -> None:
    write_experiment(repository, "bot", run={"regions": ["europe-west4"]}, training={"seed": 8})
    with start() as loraform:
        loraform("apply")
        before = created(repository)
        (repository / "experiments/bot.yaml").unlink()
        write_experiment(repository, "same", training={"seed": 8})
        shared = loraform("plan")
        (repository / "experiments/same.yaml").unlink()
        write_experiment(repository, "other", adapter={"r": 16})

        planned, applied = loraform("plan"), loraform("apply")

        assert before == ["europe-west4 200"]
        assert "as bot" in shared.stdout
        assert "is cancelled" in planned.stdout, planned.stdout
        assert "cancelled  bot training" in applied.stdout
