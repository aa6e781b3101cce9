"""Other evaluation rows, other scores, a machine of its own: evaluated and judged again, nothing trained."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.main import run
from reconciler.cli.workplace import connect_only
from reconciler.cloud.snapshot import take_snapshot
from tests.cli.commits import commit
from tests.cli.conftest import write_experiment
from tests.cli.test_apply import PROGRAMS
from tests.emulator_fixture import emulator_calls, forget_calls, running_emulator

pytestmark = pytest.mark.slow

Captured = pytest.CaptureFixture[str]
SCORED: dict[str, Any] = {"metrics": ["exact_match"], "gate": ["exact_match >= 0.5"]}


@pytest.fixture
def url(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.chdir(repository)
    (repository / "eval.jsonl").write_text('{"messages": []}\n')
    (repository / "other.jsonl").write_text('{"messages": [1]}\n')
    with running_emulator(repository / ".loraform/vertex", PROGRAMS) as url:
        yield url


def write(repository: Path, rows: str, evaluation: dict[str, Any] | None = None, **blocks: dict[str, Any]) -> None:
    write_experiment(repository, "bot", data={"eval": rows}, evaluation=evaluation or SCORED, **blocks)
    commit(repository, f"{rows} {evaluation}")


def said(capsys: Captured, *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    return run(list(arguments)), capsys.readouterr().out


def made(url: str) -> Counter[str]:
    """What was created, deployed and removed since the last look."""
    calls = [call["method"].partition(".")[2] for call in emulator_calls(url)]
    forget_calls(url)
    return Counter(name for name in calls if name.startswith(("Create", "Upload", "Deploy", "Undeploy", "Delete")))


def jobs() -> list[tuple[str, str]]:
    """(role, what it says of the evaluation) of every job, oldest first."""
    site = connect_only()
    live = take_snapshot(site.vertex, site.storage, site.target, ()).live
    found = sorted((item for item in live if item.kind == "custom_job"), key=lambda item: item.created)
    return [(str(item.address.role), str(item.outputs["state"])) for item in found]


def verdict() -> str:
    site = connect_only()
    (model,) = site.vertex.list("ModelService", "ListModels", {"parent": site.target.parent}, "models")
    return str(model["labels"]["loraform-gate"]).partition("-")[0]


def test_other_rows_are_evaluated_and_judged_again_and_a_revert_measures_nothing(
    repository: Path, url: str, capsys: Captured
) -> None:
    write(repository, "eval.jsonl")
    first = said(capsys, "apply", "--wait")
    created = made(url)
    write(repository, "other.jsonl")

    planned = said(capsys, "plan")
    second = said(capsys, "apply", "--wait")

    assert (first[0], second[0]) == (0, 0), first[1] + second[1]
    assert created == {"CreateCustomJob": 1, "UploadModel": 1, "CreateEndpoint": 1, "DeployModel": 1}
    assert planned[0] == 2
    assert "evaluated again: nothing is trained" in planned[1]
    assert "data.eval" in planned[1]
    assert made(url) == {"CreateCustomJob": 1}
    assert [role for role, _ in jobs()] == ["training", "evaluation"]
    assert said(capsys, "plan")[0] == 0

    write(repository, "eval.jsonl", SCORED)
    back = said(capsys, "apply", "--wait")

    assert back[0] == 0, back[1]
    assert made(url) == {}


def test_a_model_that_fails_on_the_new_rows_says_so_and_goes_on_serving(
    repository: Path, url: str, capsys: Captured
) -> None:
    write(repository, "eval.jsonl", {"gate": ["eval_loss <= 1"]})
    assert said(capsys, "apply", "--wait")[0] == 0
    before = verdict()
    made(url)
    harder = {"metrics": ["exact_match"], "gate": ["eval_loss <= 1", "exact_match >= 0.9"]}
    write(repository, "other.jsonl", harder)

    judged = said(capsys, "apply", "--wait")

    assert before == "passed"
    assert verdict() == "failed", judged[1]
    assert "serves, and does not pass its gate: " in said(capsys, "status")[1]
    assert made(url) == {"CreateCustomJob": 1}
    document = json.loads(said(capsys, "plan", "--format", "json")[1])
    deployment = next(change for change in document["changes"] if change["role"] == "deployment")
    assert deployment["action"] == "noop"


def test_a_machine_of_its_own_makes_the_evaluation_a_job_after_the_training(
    repository: Path, url: str, capsys: Captured
) -> None:
    machine = {"machine_type": "n1-standard-8"}
    write(repository, "eval.jsonl", {**SCORED, "machine": machine})

    planned = said(capsys, "plan")
    applied = said(capsys, "apply", "--wait")

    assert applied[0] == 0, applied[1]
    assert "> evaluation" in planned[1]
    assert [role for role, _ in jobs()] == ["training", "evaluation"]
    assert verdict() == "passed"
    assert made(url) == {"CreateCustomJob": 2, "UploadModel": 1, "CreateEndpoint": 1, "DeployModel": 1}


def test_history_tells_what_each_commit_s_rows_said(repository: Path, url: str, capsys: Captured) -> None:
    write(repository, "eval.jsonl", {"gate": ["eval_loss <= 1"]})
    said(capsys, "apply", "--wait")
    write(repository, "other.jsonl")
    said(capsys, "apply", "--wait")

    rows = json.loads(said(capsys, "history", "bot", "--format", "json")[1])["commits"]

    assert [row["kind"] for row in rows] == ["evaluated again", "new"]
    assert [sorted(row["run"]["metrics"]) for row in rows] == [["eval_loss", "exact_match"], ["eval_loss"]]
