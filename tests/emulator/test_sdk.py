"""The same through Google's high-level SDK, as its users write it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform

from tests.emulator.clients import Cloud, until

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


class ToEmulator(requests.adapters.HTTPAdapter):
    """Sends Google's address elsewhere, as docs/emulator.md shows it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        request.url = str(request.url).replace("https://us-central1-aiplatform.googleapis.com", self.url)
        return super().send(request, **options)


@pytest.mark.usefixtures("sdk")
def test_raw_predictions_of_a_shared_endpoint_go_through_a_session_of_the_users_own(cloud: Cloud, url: str) -> None:
    shared = cloud.endpoint()
    cloud.deploy(shared, cloud.model(), {"0": 100}).result()
    endpoint = aiplatform.Endpoint(shared.name)
    endpoint.authorized_session = requests.Session()
    endpoint.authorized_session.mount("https://us-central1-aiplatform.googleapis.com", ToEmulator(url))

    raw = endpoint.raw_predict(b"raw words", {"content-type": "text/plain"})
    pieces = b"".join(endpoint.stream_raw_predict(b"raw pieces", {"content-type": "text/plain"}))
    typed = endpoint.predict(["hello"], use_raw_predict=True)

    assert (raw.status_code, raw.content, pieces) == (200, b"RAW WORDS", b"RAW PIECES")
    assert typed.predictions[0]["instances"] == ["hello"]
    assert raw.headers["X-Vertex-AI-Model"].startswith("projects/")
    assert (typed.model_version_id, bool(typed.deployed_model_id)) == ("1", True)
