from __future__ import annotations

import base64
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from tests.emulator.clients import Cloud
from tests.emulator.logs import entries
from tests.emulator_fixture import emulator_calls, forget_calls

JOB = {"displayName": "x", "jobSpec": {"workerPoolSpecs": [{"containerSpec": {"imageUri": "test/hold"}}]}}


def send(cloud: Cloud, verb: str, path: str, **options: Any) -> requests.Response:
    return requests.request(verb, f"{cloud.url}{path}", timeout=10, **options)


def test_a_method_that_is_not_implemented_names_itself(cloud: Cloud) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match=r"JobService\.CreateDataLabelingJob"):
        cloud.jobs.create_data_labeling_job(parent=cloud.parent, data_labeling_job={})


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v1/{}/metadataStores/default/contexts", "MetadataService.ListContexts"),
        ("/v1beta1/{}/cachedContents", "GenAiCacheService.ListCachedContents"),
        ("/v1beta1/publishers/meta/models", "ModelGardenService.ListPublisherModels"),
        ("/ui/{}/batchPredictionJobs", "JobService.ListBatchPredictionJobs"),
    ],
)
def test_a_service_of_vertex_that_is_not_here_names_its_method_too(cloud: Cloud, path: str, method: str) -> None:
    answer = send(cloud, "GET", path.format(cloud.parent))

    assert (answer.status_code, answer.json()["error"]["status"]) == (501, "UNIMPLEMENTED")
    assert answer.json()["error"]["message"].startswith(f"{method} is not implemented")


def test_an_unknown_field_is_refused_in_googles_envelope(cloud: Cloud) -> None:
    body = {**JOB, "jobSpec": {**JOB["jobSpec"], "wokerPoolSpecs": []}}

    answer = send(cloud, "POST", f"/v1/{cloud.parent}/customJobs", json=body)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert "Unknown name \"wokerPoolSpecs\" at 'custom_job.job_spec': Cannot find field." in error["message"]
    assert error["details"][0]["fieldViolations"][0]["field"] == "custom_job.job_spec"


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
def test_a_number_that_is_none_is_a_bad_request(cloud: Cloud, number: str) -> None:
    endpoint = cloud.endpoint()
    cloud.deploy(endpoint, cloud.model(image="test/stub"), {"0": 100}).result()

    answer = send(cloud, "POST", f"/v1/{endpoint.name}:predict", data=f'{{"instances": [{number}]}}')

    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b'{"displayName": 5}', b'{"labels": []}', b'{"jobSpec": "x"}'])
def test_json_that_does_not_fit_is_a_bad_request(cloud: Cloud, body: bytes) -> None:
    answer = send(cloud, "POST", f"/v1/{cloud.parent}/customJobs", data=body)

    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_an_unknown_query_parameter_is_refused(cloud: Cloud) -> None:
    answer = send(cloud, "GET", f"/v1/{cloud.parent}/customJobs?pageSzie=3")

    assert answer.status_code == 400
    assert "Cannot bind query parameter" in answer.json()["error"]["message"]


@pytest.mark.parametrize("query", ["labels.", "nonsense", "shoe_size=3", "(state=1", 'display_name="x', "a b c"])
def test_a_filter_that_cannot_be_read_is_refused(cloud: Cloud, query: str) -> None:
    with pytest.raises(exceptions.BadRequest):
        list(cloud.jobs.list_custom_jobs(request={"parent": cloud.parent, "filter": query}))


def test_a_page_token_belongs_to_its_filter(cloud: Cloud) -> None:
    for _ in range(2):
        cloud.job(image="test/hold")
    token = send(cloud, "GET", f"/v1/{cloud.parent}/customJobs?pageSize=1").json()["nextPageToken"]

    answer = send(cloud, "GET", f"/v1/{cloud.parent}/customJobs?pageSize=1&pageToken={token}&filter=labels.a%3Db")

    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_all_three_prefixes_and_both_cases_and_enum_forms_are_understood(cloud: Cloud) -> None:
    pool = {"container_spec": {"image_uri": "test/hold"}, "replicaCount": "1"}
    spec = {"worker_pool_specs": [pool], "scheduling": {"strategy": 4, "timeout": "60s"}}
    made = send(cloud, "POST", f"/v1beta1/{cloud.parent}/customJobs", json={"display_name": "x", "job_spec": spec})

    name = made.json()["name"]
    shown = send(cloud, "GET", f"/ui/{name}").json()
    numbers = send(cloud, "GET", f"/v1/{name}?%24alt=json%3Benum-encoding%3Dint").json()

    assert shown["jobSpec"]["scheduling"]["strategy"] == "SPOT"
    assert shown["jobSpec"]["workerPoolSpecs"][0]["replicaCount"] == "1"
    assert numbers["jobSpec"]["scheduling"]["strategy"] == 4
    assert isinstance(numbers["state"], int)


def test_an_unknown_address_and_an_unknown_resource_are_not_found(cloud: Cloud) -> None:
    nowhere = send(cloud, "GET", "/v1/nowhere/at/all")
    nothing = send(cloud, "GET", f"/v1/{cloud.parent}/customJobs/1")

    assert (nowhere.status_code, nowhere.json()["error"]["status"]) == (404, "NOT_FOUND")
    assert (nothing.status_code, nothing.json()["error"]["status"]) == (404, "NOT_FOUND")


def test_every_call_is_recorded_with_method_resource_and_status(cloud: Cloud) -> None:
    forget_calls(cloud.url)
    job = cloud.job(image="test/hold")
    with pytest.raises(exceptions.NotFound):
        cloud.endpoints.get_endpoint(name=f"{cloud.parent}/endpoints/none")

    calls = [(call["method"], call["resource"], call["status"]) for call in emulator_calls(cloud.url)]

    assert calls == [
        ("JobService.CreateCustomJob", cloud.parent, 200),
        ("EndpointService.GetEndpoint", f"{cloud.parent}/endpoints/none", 404),
    ]
    assert job.state in (v1.JobState.JOB_STATE_PENDING, v1.JobState.JOB_STATE_QUEUED)


def test_the_control_surface_refuses_pages_from_elsewhere(cloud: Cloud) -> None:
    foreign = send(cloud, "DELETE", "/emulator/calls", headers={"origin": "https://evil.example"})
    own = send(cloud, "GET", "/emulator/health", headers={"origin": cloud.url})

    assert (foreign.status_code, own.status_code) == (403, 200)


def test_logs_are_read_in_pages_in_order_and_from_a_time_on(cloud: Cloud) -> None:
    job = cloud.job(image="x", command=["python", "-c", "for i in range(5): print('line', i)"])
    cloud.ended(job)
    query = f'resource.labels.job_id="{job.name.rsplit("/", 1)[-1]}"'

    first = entries(cloud.url, query, pageSize=3)
    second = entries(cloud.url, query, pageSize=3, pageToken=first["nextPageToken"])
    later = entries(cloud.url, f'{query} AND timestamp>="{first["entries"][2]["timestamp"]}"')
    newest = entries(cloud.url, query, orderBy="timestamp desc", pageSize=1)

    assert [entry["textPayload"] for entry in first["entries"]] == ["line 0", "line 1", "line 2"]
    assert [entry["textPayload"] for entry in second["entries"]] == ["line 3", "line 4"]
    assert "nextPageToken" not in second
    assert [entry["textPayload"] for entry in later["entries"]] == ["line 2", "line 3", "line 4"]
    assert [entry["textPayload"] for entry in newest["entries"]] == ["line 4"]


def test_logs_can_be_read_while_the_job_runs(cloud: Cloud) -> None:
    from tests.emulator.clients import until
    from tests.emulator.logs import log_lines

    job = cloud.job("sleep", "600")

    seen = until(lambda: log_lines(cloud.url, job), bool)
    cloud.jobs.cancel_custom_job(name=job.name)

    assert seen == ["started sleep"]
    assert cloud.ended(job).state == v1.JobState.JOB_STATE_CANCELLED


def test_the_logs_of_an_endpoint_tell_the_deployed_model(cloud: Cloud) -> None:
    endpoint = cloud.endpoint("logged")
    cloud.deploy(endpoint, cloud.model(), id="77").result()

    found = entries(
        cloud.url, 'resource.type="aiplatform.googleapis.com/Endpoint" AND resource.labels.endpoint_id="logged"'
    )

    assert found["entries"][0]["textPayload"] == "serving logged 77 good"
    assert found["entries"][0]["labels"]["deployed_model_id"] == "77"


def test_a_secret_is_accessed_by_number_and_as_the_latest(cloud: Cloud) -> None:
    project = cloud.parent.split("/locations")[0]
    send(cloud, "POST", f"/v1/{project}/secrets?secretId=token", json={"replication": {"automatic": {}}})
    for text in (b"old", b"new"):
        payload = {"payload": {"data": base64.b64encode(text).decode()}}
        send(cloud, "POST", f"/v1/{project}/secrets/token:addVersion", json=payload)

    first = send(cloud, "GET", f"/v1/{project}/secrets/token/versions/1:access").json()
    latest = send(cloud, "GET", f"/v1/{project}/secrets/token/versions/latest:access").json()
    none = send(cloud, "GET", f"/v1/{project}/secrets/other/versions/1:access")

    assert base64.b64decode(first["payload"]["data"]) == b"old"
    assert base64.b64decode(latest["payload"]["data"]) == b"new"
    assert latest["name"].endswith("/secrets/token/versions/2")
    assert none.status_code == 404
