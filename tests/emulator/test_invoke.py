"""What goes to a container's own routes: `/invoke/...` and `chat/completions`."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from tests.emulator.clients import Cloud

PLAIN = {"predict_route": "/chat", "health_route": "/health"}
OPEN = {"predict_route": "", "invoke_route_prefix": "/*"}


def serve(cloud: Cloud, container: dict[str, Any], split: dict[str, int] | None = None) -> v1.Endpoint:
    endpoint = cloud.endpoint(dedicated_endpoint_enabled=True)
    cloud.deploy(endpoint, cloud.model("any", container=container), split or {"0": 100}, id="1").result()
    return endpoint


def post(cloud: Cloud, endpoint: v1.Endpoint, rest: str, body: Any, version: str = "v1") -> requests.Response:
    return requests.post(f"{cloud.url}/{version}/{endpoint.name}{rest}", json=body, timeout=20)


def test_any_route_of_a_container_can_be_invoked(cloud: Cloud) -> None:
    endpoint = serve(cloud, OPEN)

    answer = post(cloud, endpoint, "/invoke/v1/models/a%2Fb?x=1", {"a": 1})

    assert answer.json() == {"path": "/v1/models/a%2Fb?x=1", "body": '{"a": 1}', "kind": "application/json"}
    assert answer.headers["X-Vertex-AI-Deployed-Model-Id"] == "1"


def test_a_named_deployed_model_is_invoked_whatever_the_traffic(cloud: Cloud) -> None:
    endpoint = serve(cloud, OPEN)
    cloud.deploy(endpoint, cloud.model("any", container=OPEN), {"1": 100, "0": 0}, id="2").result()

    answer = post(cloud, endpoint, "/deployedModels/2/invoke/x", {}, "v1beta1")
    nobody = post(cloud, endpoint, "/deployedModels/3/invoke/x", {})

    assert (answer.json()["path"], answer.headers["X-Vertex-AI-Deployed-Model-Id"]) == ("/x", "2")
    assert (nobody.status_code, nobody.json()["error"]["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("rest", [":predict", ":rawPredict", "/invoke", "/invoke/"])
def test_what_is_not_a_route_to_invoke_is_refused_in_the_services_words(cloud: Cloud, rest: str) -> None:
    endpoint = serve(cloud, {**OPEN, "image_uri": "test/stub"})

    answer = post(cloud, endpoint, rest, {"instances": []})

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (400, 400, "INTERNAL")
    assert error["message"].startswith("Given request uri is not supported on this endpoint. Please use `/invoke$")


def test_a_path_that_no_container_could_have_is_refused(cloud: Cloud) -> None:
    endpoint = serve(cloud, OPEN)

    answer = post(cloud, endpoint, "/invoke/" + "x" * 70_000, {})

    assert answer.status_code == 400


def test_a_model_with_a_predict_route_is_not_invoked(cloud: Cloud) -> None:
    endpoint = serve(cloud, {**PLAIN, "image_uri": "test/stub"})

    answer = post(cloud, endpoint, "/invoke/x", {})

    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "FAILED_PRECONDITION")


def test_a_model_to_invoke_needs_a_dedicated_endpoint(cloud: Cloud) -> None:
    with pytest.raises(exceptions.BadRequest, match="dedicated endpoint only"):
        cloud.deploy(cloud.endpoint(), cloud.model("any", container=OPEN))


def test_a_container_has_a_predict_route_or_an_invoke_prefix(cloud: Cloud) -> None:
    with pytest.raises(exceptions.BadRequest, match="not both"):
        cloud.model(container={"predict_route": "/p", "invoke_route_prefix": "/*"})


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_chat_reaches_the_predict_route_as_it_is(cloud: Cloud, version: str) -> None:
    endpoint = serve(cloud, PLAIN)

    answer = post(cloud, endpoint, "/chat/completions", {"messages": []}, version)

    assert answer.json() == {"path": "/chat", "body": '{"messages": []}', "kind": "application/json"}


def test_a_chat_reaches_the_chat_route_where_all_can_be_invoked(cloud: Cloud) -> None:
    endpoint = serve(cloud, OPEN)

    answer = post(cloud, endpoint, "/chat/completions", {"messages": []})

    assert answer.json()["path"] == "/v1/chat/completions"


def test_a_streamed_chat_is_passed_on(cloud: Cloud) -> None:
    endpoint = serve(cloud, PLAIN)

    answer = post(cloud, endpoint, "/chat/completions", {"messages": [], "stream": True})

    assert answer.text == "data: {}\n\ndata: [DONE]\n\n"
    assert answer.headers["content-type"] == "text/event-stream"
