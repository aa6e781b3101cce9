"""Model Garden: weights in a bucket, or an open model by its name, onto a new endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import vertexai
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, storage
from google.cloud import aiplatform_v1 as v1
from google.cloud import aiplatform_v1beta1 as v1beta1
from vertexai import model_garden as released
from vertexai.preview import model_garden

from tests.emulator.clients import Cloud, client

MACHINE = {"machine_type": "g2-standard-12", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}


@pytest.fixture(scope="module")
def sdk(url: str) -> Iterator[str]:
    """The SDK, pointed at the server; its project's place."""
    vertexai.init(
        project="garden",
        location="us-central1",
        api_endpoint=url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
        staging_bucket="gs://garden-weights",
    )
    yield "projects/garden/locations/us-central1"
    aiplatform.initializer.global_config.__init__()


@pytest.fixture(scope="module")
def weights(url: str) -> str:
    """A folder with the weights of a whole model, and another one with an adapter's."""
    buckets = storage.Client(project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": url})
    bucket = buckets.create_bucket("garden-weights")
    bucket.blob("whole/config.json").upload_from_string("{}")
    adapter = json.dumps({"base_model_name_or_path": "gs://garden-weights/whole", "r": 4})
    bucket.blob("adapter/adapter_config.json").upload_from_string(adapter)
    return "gs://garden-weights"


def spec(container: Any) -> Any:
    return json.loads(container.args[1])


def test_a_custom_model_of_the_sdk_is_deployed_and_asked(cloud: Cloud, sdk: str, weights: str) -> None:
    custom = model_garden.CustomModel(gcs_uri=f"{weights}/whole")

    made = custom.deploy(**MACHINE)
    endpoint = aiplatform.Endpoint(made.resource_name)
    answer = endpoint.predict(instances=[{"prompt": "What is a car?", "raw_response": True}])

    deployed = endpoint.list_models()[0]
    served = cloud.models.get_model(name=deployed.model)
    assert list(answer.predictions) == [{"prompt": "What is a car?", "raw_response": True}]
    assert deployed.dedicated_resources.machine_spec.machine_type == "g2-standard-12"
    assert served.artifact_uri == f"{weights}/whole"
    assert (served.container_spec.image_uri, served.display_name) == ("loraform/serve", "whole")
    assert spec(served.container_spec) == {
        "version": 1,
        "experiment": "whole",
        "form": "full",
        "model": {"base": f"{weights}/whole"},
    }


def test_an_open_model_of_the_sdk_is_served_by_its_stand_in(cloud: Cloud, sdk: str) -> None:
    made = released.OpenModel("meta/llama3_1@llama-3.1-8b").deploy(**MACHINE, accept_eula=True)

    served = cloud.models.get_model(name=aiplatform.Endpoint(made.resource_name).list_models()[0].model)
    assert spec(served.container_spec)["model"] == {"base": "/models/llama"}
    assert [(one.name, one.value) for one in served.container_spec.env] == [("AIP_STORAGE_URI", "/models/llama")]


@pytest.mark.parametrize("types", [v1, v1beta1])
def test_the_operation_tells_what_was_made_in_the_types_of_either_version(cloud: Cloud, types: Any) -> None:
    garden = client(cloud.url, types.ModelGardenServiceClient)
    request = {
        "destination": cloud.parent,
        "publisher_model_name": "publishers/qwen/models/qwen3@qwen3-4b",
        "model_config": {"model_user_id": "mine", "model_display_name": "Mine"},
        "endpoint_config": {"endpoint_user_id": "ours", "endpoint_display_name": "Ours"},
    }

    operation = garden.deploy(request=request)
    done = operation.result()

    endpoint = cloud.endpoints.get_endpoint(name=done.endpoint)
    assert operation.metadata.publisher_model == done.publisher_model == "publishers/qwen/models/qwen3@qwen3-4b"
    assert (done.endpoint[-5:], done.model[-5:]) == ("/ours", "/mine")
    assert endpoint.display_name == "Ours"
    assert [one.model for one in endpoint.deployed_models] == [done.model]
    assert list(endpoint.traffic_split.values()) == [100]


def deploy(cloud: Cloud, **request: Any) -> Any:
    garden = client(cloud.url, v1beta1.ModelGardenServiceClient)
    return garden.deploy(request={"destination": cloud.parent, **request})


def test_an_adapter_is_served_on_the_base_that_it_names(cloud: Cloud, weights: str) -> None:
    done = deploy(cloud, custom_model={"gcs_uri": f"{weights}/adapter/"}).result()

    told = spec(cloud.models.get_model(name=done.model).container_spec)
    assert (told["form"], told["rank"], told["model"]) == ("adapter", 4, {"base": f"{weights}/whole"})


def test_a_folder_without_weights_is_refused(cloud: Cloud, weights: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="There are no model artifacts in gs://garden-weights/none"):
        deploy(cloud, custom_model={"gcs_uri": f"{weights}/none"})


def test_a_model_without_a_stand_in_is_refused_with_the_way_out(cloud: Cloud) -> None:
    with pytest.raises(exceptions.BadRequest, match="--stand-ins"):
        deploy(cloud, hugging_face_model_id="acme/unknown-7b")


def test_a_taken_endpoint_id_leaves_no_model_behind(cloud: Cloud, weights: str) -> None:
    cloud.endpoint("ours")

    with pytest.raises(exceptions.Conflict):
        deploy(cloud, custom_model={"gcs_uri": f"{weights}/whole"}, endpoint_config={"endpoint_user_id": "ours"})

    assert list(cloud.models.list_models(parent=cloud.parent)) == []


def test_a_server_that_does_not_start_fails_the_deployment_and_keeps_the_endpoint(cloud: Cloud, weights: str) -> None:
    container = {"image_uri": "test/serve", "args": ["dies"], "predict_route": "/p", "health_route": "/h"}
    custom = {"gcs_uri": f"{weights}/whole"}

    operation = deploy(cloud, custom_model=custom, model_config={"container_spec": container})
    with pytest.raises(exceptions.GoogleAPICallError, match="Model server exited unexpectedly"):
        operation.result()

    assert len(list(cloud.endpoints.list_endpoints(parent=cloud.parent))) == 1
