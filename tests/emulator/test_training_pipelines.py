"""Training pipelines: what Google's SDK sends for `CustomContainerTrainingJob`, and GAPIC for the rest of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud import aiplatform_v1 as v1
from google.protobuf import json_format, struct_pb2

from tests.emulator.clients import Cloud, client, until

pytestmark = pytest.mark.slow

TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
OVER = ("PIPELINE_STATE_SUCCEEDED", "PIPELINE_STATE_FAILED", "PIPELINE_STATE_CANCELLED")


@pytest.fixture
def sdk(cloud: Cloud) -> Iterator[None]:
    aiplatform.init(
        project=cloud.parent.split("/")[1],
        location="us-central1",
        api_endpoint=cloud.url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
        staging_bucket="gs://staging",
    )
    yield
    aiplatform.initializer.global_config.__init__()


def pipelines(cloud: Cloud) -> Any:
    return client(cloud.url, v1.PipelineServiceClient)


def create(cloud: Cloud, *args: str, image: str = "test/train", task: str = TASK, **fields: Any) -> Any:
    pool = {"containerSpec": {"imageUri": image, "args": list(args)}, "machineSpec": {"machineType": "n1-standard-4"}}
    inputs = {"workerPoolSpecs": [pool], "baseOutputDirectory": {"outputUriPrefix": "gs://b/out"}, "scheduling": None}
    value = json_format.ParseDict(inputs, struct_pb2.Value())
    pipeline = {"display_name": "mine", "training_task_definition": task, "training_task_inputs": value, **fields}
    return pipelines(cloud).create_training_pipeline(parent=cloud.parent, training_pipeline=pipeline)


def ended(cloud: Cloud, name: str) -> Any:
    return until(lambda: pipelines(cloud).get_training_pipeline(name=name), lambda one: one.state.name in OVER)


@pytest.mark.usefixtures("sdk")
def test_a_container_of_ones_own_is_trained_by_the_sdk_and_its_model_is_uploaded(cloud: Cloud) -> None:
    job = aiplatform.CustomContainerTrainingJob(
        display_name="tune",
        container_uri="test/train",
        model_serving_container_image_uri="test/stub",
        model_serving_container_predict_route="/predict",
        model_serving_container_health_route="/health",
    )

    model = job.run(
        args=["env", "AIP_MODEL_DIR"],
        base_output_dir="gs://trained/here",
        model_display_name="tuned",
        machine_type="g2-standard-12",
        accelerator_type="NVIDIA_L4",
        accelerator_count=1,
    )

    assert job.state.name == "PIPELINE_STATE_SUCCEEDED"
    backing = dict(job.gca_resource.training_task_metadata)["backingCustomJob"]
    found = cloud.jobs.get_custom_job(name=backing)
    pool = found.job_spec.worker_pool_specs[0]
    assert (found.display_name, pool.machine_spec.accelerator_type.name) == ("tune-custom-job", "NVIDIA_L4")
    assert [one.name for one in cloud.jobs.list_custom_jobs(parent=cloud.parent)] == [backing]
    assert (model.display_name, model.uri) == ("tuned", "gs://trained/here/model")
    assert model.resource_name in [one.name for one in cloud.models.list_models(parent=cloud.parent)]


@pytest.mark.usefixtures("sdk")
def test_a_container_that_fails_fails_its_training_with_the_log(cloud: Cloud) -> None:
    job = aiplatform.CustomContainerTrainingJob(display_name="tune", container_uri="test/train")

    with pytest.raises(RuntimeError, match="something is wrong"):
        job.run(args=["fail", "3"])

    assert job.has_failed


@pytest.mark.usefixtures("sdk")
def test_a_training_with_a_timeout_and_a_strategy_hands_them_to_its_job(cloud: Cloud) -> None:
    job = aiplatform.CustomContainerTrainingJob(display_name="tune", container_uri="test/train")

    job.run(args=["echo"], timeout=77, scheduling_strategy=v1.Scheduling.Strategy.SPOT)

    [found] = cloud.jobs.list_custom_jobs(parent=cloud.parent)
    assert found.job_spec.scheduling.timeout.total_seconds() == 77
    assert found.job_spec.scheduling.strategy.name == "SPOT"


def test_trainings_are_listed_by_filter_and_by_mask(cloud: Cloud) -> None:
    one = create(cloud, "echo", labels={"team": "a"})
    create(cloud, "echo", labels={"team": "b"})
    listing = pipelines(cloud).list_training_pipelines

    found = list(listing(request={"parent": cloud.parent, "filter": 'labels.team="a"'}))
    masked = list(listing(request={"parent": cloud.parent, "read_mask": {"paths": ["display_name"]}}))

    assert [found[0].name, len(found)] == [one.name, 1]
    assert [(each.name, each.display_name) for each in masked] == [("", "mine")] * 2


def test_a_cancelled_training_ends_its_job_and_can_be_deleted(cloud: Cloud) -> None:
    made = create(cloud, "sleep", "600")
    running = until(
        lambda: pipelines(cloud).get_training_pipeline(name=made.name), lambda one: one.state.name.endswith("RUNNING")
    )
    with pytest.raises(exceptions.BadRequest, match="still running"):
        pipelines(cloud).delete_training_pipeline(name=made.name)

    pipelines(cloud).cancel_training_pipeline(name=made.name)
    done = ended(cloud, made.name)
    backing = cloud.jobs.get_custom_job(name=dict(running.training_task_metadata)["backingCustomJob"])
    pipelines(cloud).delete_training_pipeline(name=made.name).result()

    assert (done.state.name, backing.state.name) == ("PIPELINE_STATE_CANCELLED", "JOB_STATE_CANCELLED")
    with pytest.raises(exceptions.NotFound):
        pipelines(cloud).get_training_pipeline(name=made.name)


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"display_name": ""}, exceptions.BadRequest, "training_pipeline.display_name"),
        ({"task": ""}, exceptions.BadRequest, "training_task_definition"),
        ({"task": TASK.replace("custom_task", "automl_text")}, exceptions.MethodNotImplemented, "automl_text"),
        ({"input_data_config": {"dataset_id": "7"}}, exceptions.NotFound, "datasets/7"),
        ({"training_task_inputs": None}, exceptions.BadRequest, "training_task_inputs"),
        ({"training_task_inputs": struct_pb2.Value(string_value="x")}, exceptions.BadRequest, "an object"),
        ({"image": ""}, exceptions.BadRequest, "image_uri"),
        ({"model_to_upload": {"description": "nameless"}}, exceptions.BadRequest, "model_to_upload.display_name"),
    ],
)
def test_a_training_that_could_never_run_is_refused_by_field(
    cloud: Cloud, change: dict[str, Any], error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        create(cloud, "echo", **change)
