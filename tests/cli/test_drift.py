"""`loraform drift`, `orphans` and `gc` beside a real embedded Vertex AI that somebody else has touched."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx
import pytest

from reconciler.cli.main import run
from reconciler.cli.workplace import connect_only
from reconciler.cloud.snapshot import take_snapshot
from reconciler.core.calls import Call
from reconciler.core.resources import Role
from tests.cli.conftest import write_experiment
from tests.cli.test_apply import PROGRAMS
from tests.cli.test_cloud_target import git, prod  # noqa: F401 (a fixture)
from tests.emulator_fixture import post, running_emulator

pytestmark = pytest.mark.slow

Captured = pytest.CaptureFixture[str]


def scale_by_hand(experiment: str, replicas: int) -> None:
    """What a person does in the console."""
    site = connect_only()
    live = take_snapshot(site.vertex, site.storage, site.target, ()).live
    served = next(
        item for item in live if item.address.experiment == experiment and item.address.role is Role.DEPLOYMENT
    )
    request = {
        "endpoint": served.outputs["endpoint"],
        "deployed_model": {
            "id": served.outputs["deployed_model_id"],
            "dedicated_resources": {"max_replica_count": replicas},
        },
        "update_mask": "dedicatedResources.maxReplicaCount",
    }
    site.vertex.wait(site.vertex.perform(Call("EndpointService", "MutateDeployedModel", request)), 60.0)


def test_a_hand_in_the_console_is_drift_an_edit_in_git_is_not_and_what_left_git_is_an_orphan(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(repository)
    with running_emulator(repository / ".loraform/vertex", PROGRAMS):
        write_experiment(repository, "bot")
        gone = write_experiment(repository, "gone", adapter={"r": 8})
        assert run(["apply", "--wait"]) == 0
        capsys.readouterr()

        calm = [run(["drift"]), run(["orphans"]), run(["gc", "--yes"])]
        write_experiment(repository, "bot", serving={"max_replica_count": 2})
        edited, pending = run(["drift"]), capsys.readouterr().out
        scale_by_hand("bot", 5)
        touched, drifted = run(["drift"]), capsys.readouterr().out
        gone.unlink()
        listed, orphans = run(["orphans"]), capsys.readouterr().out
        planned, plan = run(["gc"]), capsys.readouterr().out
        removed, told = run(["gc", "--yes"]), capsys.readouterr()
        after = [run(["orphans"]), run(["gc"]), run(["drift"])]

    assert calm == [0, 0, 0]
    assert edited == 0, pending
    assert re.search(r"pending +bot deployment\n +serving.max_replica_count  live 1, git 2", pending)
    assert touched == 2
    assert re.search(r"drifted +bot deployment\n +serving.max_replica_count  live 5, git 2", drifted)
    assert listed == 2
    assert re.search(r"gone +endpoint .*not in git(.|\n)*gone +deployment .*not in git(.|\n)*2 in all", orphans)
    assert planned == 2
    assert "removed from git" in plan
    assert "bot" not in plan
    assert removed == 0, told.out + told.err
    assert told.out.count("deleted    gone") == 2
    assert after == [0, 0, 2]


def test_a_cloud_target_is_compared_with_the_accepted_commit(prod: Path, capsys: Captured) -> None:  # noqa: F811
    never = run(["drift"])
    assert run(["apply"]) == 0
    write_experiment(prod, "bot", adapter={"r": 16})
    git(prod, "commit", "--quiet", "--all", "--message", "two")
    capsys.readouterr()

    later = run(["drift"])

    assert never == 1
    assert later == 0
    assert re.search(r"no drift +prod, accepted commit [0-9a-f]{7}", capsys.readouterr().out)


def test_who_did_it_is_told_where_the_audit_log_can_be_read_and_once_where_it_cannot(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(repository)
    with running_emulator(repository / ".loraform/vertex", PROGRAMS) as url:
        write_experiment(repository, "bot")
        assert run(["apply", "--wait"]) == 0
        place = f"{url}/v1/projects/loraform-local/locations/us-central1/endpoints/lf-acme-bot"
        eve = {"authorization": "Bearer eve@example.com"}
        (deployed,) = httpx.get(place).json()["deployedModels"]
        operation = httpx.post(
            f"{place}:mutateDeployedModel",
            json={
                "deployedModel": {"id": deployed["id"], "dedicatedResources": {"maxReplicaCount": 4}},
                "updateMask": "dedicatedResources.maxReplicaCount",
            },
            headers=eve,
        ).json()["name"]
        while not httpx.get(f"{url}/v1/{operation}").json().get("done"):
            time.sleep(0.05)
        labels = {**httpx.get(place).json()["labels"], "loraform-protect": "true"}
        body = {"labels": labels}
        httpx.patch(f"{place}?updateMask=labels", json=body, headers={"authorization": "Bearer dan@example.com"})
        capsys.readouterr()

        told, text = run(["drift"]), capsys.readouterr().out
        fault = {"match": {"method": "LoggingServiceV2.ListLogEntries"}, "times": None, "effect": {"status": 403}}
        post(f"{url}/emulator/faults", fault)
        refused, said = run(["drift"]), capsys.readouterr()

    assert (told, refused) == (2, 2)
    assert re.search(r"drifted +bot endpoint\n.*\n +by dan@example.com: UpdateEndpoint, \d{4}-", text)
    assert re.search(r"drifted +bot deployment\n.*\n +by eve@example.com: MutateDeployedModel, \d{4}-", text)
    assert "by " not in said.out
    assert said.err.count("Who it was is not known: the audit log cannot be read") == 1
