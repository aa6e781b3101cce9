"""The same through Google's high-level SDK, as its users write it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform

from tests.emulator.clients import until

PROJECT, REGION = "sdk-project", "us-central1"


@pytest.fixture
def sdk(url: str) -> Iterator[None]:
    aiplatform.init(
        project=PROJECT,
        location=REGION,
        api_endpoint=url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
        staging_bucket="gs://staging",
    )
    yield
    aiplatform.initializer.global_config.__init__()


@pytest.mark.usefixtures("sdk")
def test_a_custom_job_of_the_sdk_runs_and_is_listed() -> None:
    pools = [
        {
            "machine_spec": {"machine_type": "g2-standard-12", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1},
            "replica_count": 1,
            "container_spec": {"image_uri": "test/train", "args": ["echo", "hello"]},
        }
    ]
    job = aiplatform.CustomJob(display_name="sdk-job", worker_pool_specs=pools, labels={"made-by": "sdk"})

    job.submit()
    state = until(lambda: job.state.name, lambda name: name in ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED"))

    assert state == "JOB_STATE_SUCCEEDED"
    listed = aiplatform.CustomJob.list(filter='labels.made-by="sdk"')
    assert [one.display_name for one in listed] == ["sdk-job"]


@pytest.mark.usefixtures("sdk")
def test_a_model_of_the_sdk_is_uploaded_deployed_asked_and_deleted() -> None:
    model = aiplatform.Model.upload(
        display_name="sdk-model",
        artifact_uri="gs://bucket/model",
        serving_container_image_uri="test/serve",
        serving_container_predict_route="/predict",
        serving_container_health_route="/health",
        labels={"made-by": "sdk"},
    )
    endpoint = aiplatform.Endpoint.create(display_name="sdk-endpoint", labels={"made-by": "sdk"})

    endpoint.deploy(model, machine_type="n1-standard-4", traffic_percentage=100)
    answer = endpoint.predict(instances=[{"prompt": "hi"}])

    assert answer.predictions[0]["instances"] == [{"prompt": "hi"}]
    assert answer.deployed_model_id == endpoint.list_models()[0].id
    assert [one.display_name for one in aiplatform.Model.list(filter="labels.made-by=sdk")] == ["sdk-model"]
    assert [one.display_name for one in aiplatform.Endpoint.list(filter="labels.made-by=sdk")] == ["sdk-endpoint"]
    endpoint.delete(force=True)
    model.delete()
    assert aiplatform.Model.list(filter="labels.made-by=sdk") == []
    assert aiplatform.Endpoint.list(filter="labels.made-by=sdk") == []


@pytest.mark.usefixtures("sdk")
def test_a_canary_of_the_sdk_shares_the_traffic_and_moves_it() -> None:
    model = aiplatform.Model.upload(display_name="canary", serving_container_image_uri="test/stub")
    endpoint = aiplatform.Endpoint.create(display_name="canary", endpoint_id="canary")
    endpoint.deploy(model, machine_type="n1-standard-4", traffic_percentage=100)
    old = endpoint.list_models()[0].id

    endpoint.deploy(model, machine_type="n1-standard-4", traffic_percentage=10)
    new = next(one.id for one in endpoint.list_models() if one.id != old)
    shared = dict(endpoint.traffic_split)
    endpoint.update(traffic_split={new: 100}, display_name="renamed")
    endpoint.undeploy(old)

    assert shared == {old: 90, new: 10}
    assert endpoint.display_name == "renamed"
    assert [one.id for one in endpoint.list_models()] == [new]
    endpoint.undeploy_all()
    endpoint.delete()
    model.delete()
