from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from google.api import httpbody_pb2
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from tests.emulator.clients import Cloud


@pytest.fixture
def served(cloud: Cloud) -> v1.Endpoint:
    endpoint = cloud.endpoint()
    cloud.deploy(endpoint, cloud.model(name="the model"), {"0": 100}, id="5").result()
    return endpoint


def test_instances_reach_the_container_and_its_predictions_come_back(cloud: Cloud, served: v1.Endpoint) -> None:
    answer = cloud.predictions.predict(endpoint=served.name, instances=[{"prompt": "hi"}], parameters={"n": 3})

    told = dict(answer.predictions[0])
    assert dict(told["instances"][0]) == {"prompt": "hi"}
    assert dict(told["parameters"]) == {"n": 3}
    assert (told["artifact"], told["mode"]) == ("gs://bucket/model", "PREDICTION")
    assert (answer.deployed_model_id, answer.model_version_id, answer.model_display_name) == ("5", "1", "the model")
    assert answer.model.endswith("/models/" + answer.model.rsplit("/", 1)[-1])


def test_a_raw_body_goes_through_untouched_and_the_answer_names_the_model(cloud: Cloud, served: v1.Endpoint) -> None:
    answer = requests.post(
        f"{cloud.url}/v1/{served.name}:rawPredict", b"raw bytes \xff", headers={"content-type": "x/y"}, timeout=10
    )

    assert (answer.status_code, answer.content) == (200, b"raw bytes \xff".upper())
    assert answer.headers["content-type"] == "x/y"
    assert answer.headers["X-Vertex-AI-Deployed-Model-Id"] == "5"
    assert answer.headers["X-Vertex-AI-Model-Version-Id"] == "1"
    assert "/models/" in answer.headers["X-Vertex-AI-Model"]


def test_googles_typed_client_gets_raw_predictions_too(cloud: Cloud, served: v1.Endpoint) -> None:
    body = httpbody_pb2.HttpBody(data=b"raw hello", content_type="text/plain")

    whole = cloud.predictions.raw_predict(endpoint=served.name, http_body=body)
    pieces = list(cloud.predictions.stream_raw_predict(request={"endpoint": served.name, "http_body": body}))

    assert (whole.data, whole.content_type) == (b"RAW HELLO", "text/plain")
    assert b"".join(piece.data for piece in pieces) == b"RAW HELLO"


def test_a_streamed_answer_is_passed_on(cloud: Cloud, served: v1.Endpoint) -> None:
    with requests.post(
        f"{cloud.url}/v1beta1/{served.name}:streamRawPredict", b"raw stream", stream=True, timeout=10
    ) as answer:
        pieces = b"".join(answer.iter_content())

    assert pieces == b"RAW STREAM"


@pytest.mark.parametrize(
    ("said", "code", "status"),
    [(400, 400, "INVALID_ARGUMENT"), (429, 429, "RESOURCE_EXHAUSTED"), (500, 500, "INTERNAL"),
     (502, 500, "INTERNAL"), (503, 503, "UNAVAILABLE")],
)  # fmt: skip
def test_what_the_container_refuses_is_refused(
    cloud: Cloud, served: v1.Endpoint, said: int, code: int, status: str
) -> None:
    answer = requests.post(f"{cloud.url}/v1/{served.name}:predict", json={"instances": [{"status": said}]}, timeout=10)

    assert answer.status_code == code
    assert answer.json()["error"]["status"] == status
    assert "the container says no" in answer.json()["error"]["message"]


def test_a_raw_refusal_comes_back_as_the_container_made_it(cloud: Cloud, served: v1.Endpoint) -> None:
    body = json.dumps({"instances": [{"status": 418}]})

    answer = requests.post(f"{cloud.url}/v1/{served.name}:rawPredict", body, timeout=10)

    assert (answer.status_code, answer.text) == (418, "the container says no")


def test_requests_are_shared_out_exactly_by_the_traffic_split(cloud: Cloud) -> None:
    endpoint, model = cloud.endpoint(), cloud.model(image="test/stub")
    cloud.deploy(endpoint, model, {"0": 100}, id="1").result()
    cloud.deploy(endpoint, model, {"1": 70, "0": 30}, id="2").result()

    answered = Counter(cloud.predict(endpoint, [number]).deployed_model_id for number in range(10))

    assert answered == {"1": 7, "2": 3}


def test_a_stub_answers_with_its_own_input(cloud: Cloud) -> None:
    endpoint = cloud.endpoint()
    cloud.deploy(endpoint, cloud.model(image="test/stub"), {"0": 100}).result()

    assert list(cloud.predict(endpoint, ["a", "b"]).predictions) == ["a", "b"]


def test_slow_predictions_do_not_hold_up_others(cloud: Cloud, served: v1.Endpoint) -> None:
    with ThreadPoolExecutor(5) as pool:
        slow = [pool.submit(cloud.predict, served, ["slow"]) for _ in range(4)]
        cloud.read(served)
        quick_came_first = not any(one.done() for one in slow)
        answers = [one.result() for one in slow]

    assert quick_came_first
    assert len(answers) == 4


def test_an_endpoint_without_a_model_cannot_predict(cloud: Cloud) -> None:
    with pytest.raises(exceptions.BadRequest, match="no deployed model"):
        cloud.predict(cloud.endpoint(), ["x"])


def test_predictions_come_back_after_an_undeployment_of_the_other_model(cloud: Cloud, served: v1.Endpoint) -> None:
    cloud.deploy(served, cloud.model(), {"0": 100}, id="6").result()

    cloud.endpoints.undeploy_model(endpoint=served.name, deployed_model_id="5").result()

    assert cloud.predict(served, ["x"]).deployed_model_id == "6"
