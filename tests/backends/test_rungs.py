"""What a training job says on each rung of its ladder, and how it is read back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from google.cloud.aiplatform_v1.types import Scheduling

from reconciler.backends import rungs
from reconciler.backends.registry import KINDS
from reconciler.core.changes import Action
from reconciler.core.resources import Role, Rung
from schemas.training_spec import TrainingSpec
from tests.backends.payload import payload
from tests.backends.subjects import CLOUD, LOCAL, change, resources, scene

LADDER = {"run": {"scheduling": {"strategy": ["spot", "standard"]}, "regions": ["europe-west4", "us-central1"]}}
WIDE = replace(CLOUD, buckets={"us-central1": "acme-us"})


def job_on(rung: int, changes: dict[str, Any] = LADDER) -> tuple[str, dict[str, Any], TrainingSpec]:
    """The parent, the job and the training spec of a create."""
    wanted = resources(changes, target=WIDE)[Role.TRAINING]
    (call,) = KINDS["custom_job"].create(replace(change(Action.CREATE, wanted), rung=rung), scene(WIDE))
    job: Any = call.request["custom_job"]
    arguments = job["job_spec"]["worker_pool_specs"][0]["container_spec"]["args"]
    return str(call.request["parent"]), job, TrainingSpec.model_validate(json.loads(arguments[1]))


def test_a_ladder_has_all_strategies_of_a_region_before_the_next_region() -> None:
    wanted = resources(LADDER, target=WIDE)[Role.TRAINING]

    assert [(one.strategy, one.region) for one in wanted.rungs] == [
        ("spot", "europe-west4"),
        ("standard", "europe-west4"),
        ("spot", "us-central1"),
        ("standard", "us-central1"),
    ]


def test_a_job_in_the_own_region_differs_by_strategy_and_label_only() -> None:
    parent, job, spec = job_on(1)

    assert parent == "projects/acme-ml/locations/europe-west4"
    assert job["job_spec"]["scheduling"]["strategy"] == "STANDARD"
    assert job["labels"]["loraform-rung"] == "1"
    assert spec.output.artifact is None
    assert (spec.provenance.strategy, spec.provenance.region) == ("standard", "europe-west4")


def test_a_job_elsewhere_writes_to_a_bucket_there_and_leaves_its_artifact_at_home() -> None:
    parent, job, spec = job_on(2)

    output = job["job_spec"]["base_output_directory"]["output_uri_prefix"]
    assert parent == "projects/acme-ml/locations/us-central1"
    assert output.startswith("gs://acme-us/loraform/acme/artifacts/")
    assert spec.output.artifact == output.replace("gs://acme-us/", "gs://acme-llm/") + "/model"
    assert spec.output.record.startswith("gs://acme-llm/")
    assert spec.output.lock.startswith("gs://acme-llm/")


def test_without_a_ladder_nothing_is_said_of_it() -> None:
    _, job, spec = job_on(0, {})

    assert "loraform-rung" not in job["labels"]
    assert "strategy" not in spec.model_dump(mode="json")["provenance"]
    assert "artifact" not in spec.model_dump(mode="json")["output"]


def test_a_ladder_moves_no_identity_but_makes_another_try() -> None:
    plain, ladder = resources(target=WIDE), resources(LADDER, target=WIDE)

    assert {role: plain[role].identity for role in plain} == {role: ladder[role].identity for role in ladder}
    assert plain[Role.TRAINING].attempt_key != ladder[Role.TRAINING].attempt_key


def test_one_region_that_is_not_the_targets_own_is_where_it_trains() -> None:
    wanted = resources({"run": {"regions": ["us-central1"]}}, target=WIDE)[Role.TRAINING]

    (call,) = KINDS["custom_job"].create(change(Action.CREATE, wanted), scene(WIDE))

    assert call.request["parent"] == "projects/acme-ml/locations/us-central1"


def test_this_machine_has_no_regions_but_those_with_a_bucket_of_their_own() -> None:
    here = resources(LADDER, target=LOCAL)[Role.TRAINING]
    wide = resources(LADDER, target=replace(LOCAL, buckets={"europe-west4": "b"}))[Role.TRAINING]

    assert [one.region for one in here.rungs] == ["us-central1", "us-central1"]
    assert [one.region for one in wide.rungs] == ["europe-west4"] * 2 + ["us-central1"] * 2


@pytest.mark.parametrize("number", [0, 1, 17])
def test_a_live_job_tells_rung_strategy_and_region(number: int) -> None:
    text = payload("custom_job-running")
    labels: Any = text["labels"]
    labelled = {**text, "labels": {**labels, "loraform-rung": str(number)}}

    (job,) = KINDS["custom_job"].live(labelled, "acme")

    assert (job.rung, job.outputs["strategy"], job.outputs["region"]) == (number, "spot", "europe-west4")


def test_a_rung_that_somebody_else_wrote_is_the_first() -> None:
    text = payload("custom_job-running")
    labels: Any = text["labels"]

    (job,) = KINDS["custom_job"].live({**text, "labels": {**labels, "loraform-rung": "top"}}, "acme")

    assert job.rung == 0


def test_strategies_are_known_by_number_too() -> None:
    for strategy in Scheduling.Strategy:
        spec = {"scheduling": {"strategy": strategy.value}}
        assert rungs.strategy_of(spec) == (strategy.name.lower() if strategy else "standard")
    assert rungs.strategy_of({}) == "standard"


def test_a_rung_changes_nothing_else_of_a_job() -> None:
    spec = {"scheduling": {"timeout": "60s", "strategy": "SPOT"}, "network": "n"}

    on = rungs.on_rung(spec, Rung("standard", "r", "gs://b/x"))

    assert on == {
        "scheduling": {"timeout": "60s", "strategy": "STANDARD"},
        "network": "n",
        "base_output_directory": {"output_uri_prefix": "gs://b/x"},
    }
    assert rungs.on_rung(spec, None) is spec
