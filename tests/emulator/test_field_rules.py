"""What fields may hold and who may set them: labels, output-only and immutable fields, the same for every kind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from tests.emulator.clients import Cloud
from tests.emulator.test_lists import KINDS, PIPELINE, POOLS, STUDY, TASK, pipelines, tunings

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
JOB_OUTPUTS = {"name": "x", "state": 5, "create_time": LONG_AGO, "end_time": LONG_AGO, "error": {"code": 3}}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "labels",
    [
        {f"k{number}": "v" for number in range(65)},
        {"k" * 64: "v"},
        {"k": "v" * 64},
        {"Team": "x"},
        {"team": "X"},
        {"-team": "x"},
        {"te am": "x"},
        {"team": "x.y"},
        {"": "x"},
    ],
    ids=[
        "65 labels",
        "long key",
        "long value",
        "capital key",
        "capital value",
        "hyphen first",
        "space",
        "dot",
        "empty",
    ],
)
def test_labels_beyond_the_rules_are_refused_in_googles_words(
    cloud: Cloud, kind: str, labels: Mapping[str, str]
) -> None:
    with pytest.raises(exceptions.BadRequest, match="There can be no more than 64 labels") as refused:
        KINDS[kind].make(cloud, "labelled", labels)

    envelope = refused.value.response.json()["error"]
    [violation] = envelope["details"][0]["fieldViolations"]
    assert (envelope["status"], violation["field"].endswith(".labels")) == ("INVALID_ARGUMENT", True)


@pytest.mark.parametrize("kind", ["models", "endpoints"])
def test_as_many_and_as_long_labels_as_the_rules_allow_are_kept(cloud: Cloud, kind: str) -> None:
    labels = {f"k{number}": "" for number in range(62)} | {"k" * 63: "v" * 63, "0_-\u00e9": "\u00fc"}

    made = KINDS[kind].make(cloud, f"many-labels-{len(kind)}", labels)

    assert dict(made.labels) == labels


def test_what_only_the_service_sets_in_a_job_is_not_taken_from_its_maker(cloud: Cloud) -> None:
    job = {**JOB_OUTPUTS, "display_name": "j", "job_spec": {"worker_pool_specs": POOLS}, "start_time": LONG_AGO}
    study = {**JOB_OUTPUTS, "display_name": "s", "study_spec": STUDY, "trials": [{"id": "7"}]}
    study |= {"max_trial_count": 1, "parallel_trial_count": 1, "trial_job_spec": {"worker_pool_specs": POOLS}}

    jobs = [
        cloud.jobs.create_custom_job(parent=cloud.parent, custom_job=job),
        cloud.jobs.create_hyperparameter_tuning_job(parent=cloud.parent, hyperparameter_tuning_job=study),
    ]

    for one in jobs:
        assert (one.name.startswith("projects/"), one.create_time > LONG_AGO) == (True, True)
        assert (one.state.name in ("JOB_STATE_PENDING", "JOB_STATE_QUEUED"), one.error.code) == (True, 0)
        assert one.end_time is None
    assert list(jobs[1].trials) == []
    cloud.jobs.cancel_custom_job(name=jobs[0].name)
    cloud.jobs.cancel_hyperparameter_tuning_job(name=jobs[1].name)


def test_what_only_the_service_sets_in_a_pipeline_is_not_taken_from_its_maker(cloud: Cloud) -> None:
    job = {**JOB_OUTPUTS, "display_name": "p", "runtime_config": {"gcs_output_directory": "gs://b/out"}}
    training = {**JOB_OUTPUTS, "display_name": "t", "training_task_definition": TASK}
    inputs = {"workerPoolSpecs": [{"containerSpec": {"imageUri": "test/hold"}}]}
    own = v1.TrainingPipeline({**training, "training_task_inputs": inputs})

    made = [
        pipelines(cloud).create_pipeline_job(parent=cloud.parent, pipeline_job={**job, "pipeline_spec": PIPELINE}),
        pipelines(cloud).create_training_pipeline(parent=cloud.parent, training_pipeline=own),
    ]

    for one in made:
        assert (one.name.startswith("projects/"), one.create_time > LONG_AGO) == (True, True)
        assert (one.state.name, one.error.code, one.end_time) == ("PIPELINE_STATE_PENDING", 0, None)
    pipelines(cloud).cancel_pipeline_job(name=made[0].name)
    pipelines(cloud).cancel_training_pipeline(name=made[1].name)


def test_what_only_the_service_sets_in_a_tuning_job_is_not_taken_from_its_maker(cloud: Cloud) -> None:
    spec = {"training_dataset_uri": "gs://no-such-bucket/rows.jsonl"}
    job = {**JOB_OUTPUTS, "base_model": "gemini-2.5-flash", "experiment": "e", "tuned_model": {"model": "m"}}

    made = tunings(cloud).create_tuning_job(parent=cloud.parent, tuning_job={**job, "supervised_tuning_spec": spec})

    assert (made.name.startswith("projects/"), made.create_time > LONG_AGO) == (True, True)
    assert (made.state.name, made.experiment, made.tuned_model.model) == ("JOB_STATE_PENDING", "", "")


def test_what_only_the_service_sets_in_models_and_endpoints_is_not_taken_from_their_maker(cloud: Cloud) -> None:
    outputs = {"create_time": LONG_AGO, "update_time": LONG_AGO, "etag": "mine"}
    model = {**outputs, "display_name": "m", "container_spec": {"image_uri": "test/stub"}, "version_id": "9"}
    model |= {"version_create_time": LONG_AGO, "training_pipeline": "t", "deployed_models": [{"endpoint": "e"}]}
    uploaded = cloud.models.upload_model(request={"parent": cloud.parent, "model": model}).result()

    found = cloud.models.get_model(name=uploaded.model)
    endpoint = cloud.endpoint(**outputs, deployed_models=[{"id": "1", "model": "m"}], dedicated_endpoint_dns="mine")

    assert (found.version_id, found.training_pipeline, list(found.deployed_models)) == ("1", "", [])
    assert min(found.create_time, found.version_create_time, endpoint.create_time) > LONG_AGO
    assert "mine" not in (found.etag, endpoint.etag, endpoint.dedicated_endpoint_dns)
    assert list(endpoint.deployed_models) == []


@pytest.mark.parametrize(
    "path",
    ["name", "network", "encryption_spec", "dedicated_endpoint_enabled", "deployed_models", "create_time", "etag"],
)
def test_a_field_of_an_endpoint_that_is_immutable_is_named(cloud: Cloud, path: str) -> None:
    made = cloud.endpoint(dedicated_endpoint_enabled=True)
    change = {"name": made.name, "display_name": "other"}

    with pytest.raises(exceptions.BadRequest, match=f"Field {path} of Endpoint cannot be updated") as refused:
        cloud.endpoints.update_endpoint(endpoint=change, update_mask={"paths": ["display_name", path]})

    assert refused.value.response.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert cloud.read(made) == made


@pytest.mark.parametrize(
    "path", ["name", "container_spec", "artifact_uri", "metadata", "metadata_schema_uri", "version_id", "create_time"]
)
def test_a_field_of_a_model_that_is_immutable_is_named(cloud: Cloud, path: str) -> None:
    made = cloud.model(image="test/stub")
    change = {"name": made.name, "display_name": "other"}

    with pytest.raises(exceptions.BadRequest, match=f"Field {path} of Model cannot be updated"):
        cloud.models.update_model(model=change, update_mask={"paths": ["display_name", path]})

    assert cloud.models.get_model(name=made.name).display_name == made.display_name


@pytest.mark.parametrize(
    ("name", "paths", "rule"),
    [
        ("", ["display_name", "version_description"], "version_description do not belong to a model name"),
        ("@1", ["description"], "description do not belong to a model version name"),
    ],
)
def test_fields_of_a_model_and_of_its_version_are_updated_apart(
    cloud: Cloud, name: str, paths: list[str], rule: str
) -> None:
    made = cloud.model(image="test/stub")
    change = {"name": f"{made.name}{name}", "display_name": "n", "description": "d", "version_description": "v"}

    with pytest.raises(exceptions.BadRequest, match=rule) as refused:
        cloud.models.update_model(model=change, update_mask={"paths": paths})

    assert refused.value.response.json()["error"]["status"] == "FAILED_PRECONDITION"
