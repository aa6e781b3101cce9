"""Asking endpoints and reading logs, over the same addresses as everything else."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.cloud.errors import Unreachable
from reconciler.cloud.logs import console_link, endpoint_logs, job_logs, log_tail, read_logs
from reconciler.cloud.retry import Patience
from reconciler.cloud.vertex import Vertex, connect
from reconciler.core.calls import Call
from reconciler.core.errors import NotFound, Terminal
from reconciler.core.resources import Address, LiveResource, Phase, Role
from reconciler.core.target import Target
from tests.cloud.wishes import MACHINE
from tests.emulator_fixture import running_emulator

LINES = 'for number in range(3): print("line", number)'


@pytest.fixture(scope="module")
def vertex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vertex]:
    """A Vertex AI whose jobs print three lines."""
    programs = {"train": [sys.executable, "-c", LINES], "serve": "stub"}
    with running_emulator(tmp_path_factory.mktemp("vertex"), programs) as url:
        yield connect(Target("local", "acme", "acme", "europe-west4", "bucket", api_endpoint=url, local=True))


@pytest.fixture(scope="module")
def endpoint(vertex: Vertex) -> str:
    """An endpoint that answers."""
    parent = vertex.target.parent
    model = {
        "display_name": "m",
        "container_spec": {"image_uri": "serve", "predict_route": "/predict", "health_route": "/health"},
    }
    upload = Call("ModelService", "UploadModel", {"parent": parent, "model": model, "model_id": "m"})
    uploaded = done(vertex, upload)
    create = Call("EndpointService", "CreateEndpoint", {"parent": parent, "endpoint": {"display_name": "e"}})
    name = str(done(vertex, create)["name"])
    deployed = {"model": uploaded["model"], "dedicated_resources": {"machine_spec": MACHINE, "min_replica_count": 1}}
    request = {"endpoint": name, "deployed_model": deployed, "traffic_split": {"0": 100}}
    done(vertex, Call("EndpointService", "DeployModel", request))
    return name


def done(vertex: Vertex, call: Call) -> dict[str, object]:
    answer = vertex.wait(vertex.perform(call), 20)
    assert answer is not None
    return dict(answer)


def test_instances_and_parameters_reach_the_container(vertex: Vertex, endpoint: str) -> None:
    answer = vertex.predict(endpoint, [{"prompt": "hello"}], {"max_tokens": 3})

    assert "hello" in json.dumps(answer["predictions"])


def test_a_raw_body_reaches_the_container_as_it_is(vertex: Vertex, endpoint: str) -> None:
    body, content_type = vertex.raw_predict(endpoint, b'{"messages": []}')

    assert b"messages" in body
    assert content_type.startswith("application/json")


def test_asking_an_endpoint_that_does_not_exist_is_not_found(vertex: Vertex) -> None:
    with pytest.raises(NotFound):
        vertex.predict(f"{vertex.target.parent}/endpoints/nope", [{"prompt": "hello"}])


def finished_job(vertex: Vertex) -> str:
    """The name of a job that has printed its lines and ended."""
    pool = {"machine_spec": MACHINE, "replica_count": 1, "container_spec": {"image_uri": "train"}}
    body = {"display_name": "job", "job_spec": {"worker_pool_specs": [pool]}}
    request = {"parent": vertex.target.parent, "custom_job": body}
    name = str(vertex.perform(Call("JobService", "CreateCustomJob", request))["name"])
    end = time.monotonic() + 20
    while vertex.perform(Call("JobService", "GetCustomJob", {"name": name}))["state"] != "JOB_STATE_SUCCEEDED":
        assert time.monotonic() < end
        time.sleep(0.05)
    return name


def test_the_log_of_a_job_is_read_in_order_and_from_a_time_on(vertex: Vertex) -> None:
    name = finished_job(vertex)

    entries = list(job_logs(vertex, name))
    printed = [entry for entry in entries if entry[1].startswith("line ")]
    again = list(job_logs(vertex, name, since=printed[1][0]))

    assert [text for _, text in printed] == ["line 0", "line 1", "line 2"]
    assert printed[1] in again
    assert printed[2] in again


def test_an_endpoint_without_output_has_an_empty_log(vertex: Vertex) -> None:
    assert list(endpoint_logs(vertex, f"{vertex.target.parent}/endpoints/nope")) == []


def test_a_filter_that_the_service_refuses_is_a_terminal_error(vertex: Vertex) -> None:
    with pytest.raises(Terminal) as caught:
        list(read_logs(vertex, "((("))

    assert caught.value.status == "INVALID_ARGUMENT"


def test_logs_of_a_server_that_is_not_running_say_so(vertex: Vertex, tmp_path: Path) -> None:
    nowhere = connect(replace(vertex.target, api_endpoint="http://127.0.0.1:9"), patience=Patience(attempts=1))

    with pytest.raises(Unreachable):
        list(job_logs(nowhere, "projects/p/locations/l/customJobs/1"))


def test_in_the_cloud_a_job_has_a_page_in_the_console(vertex: Vertex) -> None:
    cloud = replace(vertex.target, api_endpoint=None)

    link = console_link(cloud, "projects/1/locations/europe-west4/customJobs/42")

    assert link == ("https://console.cloud.google.com/vertex-ai/locations/europe-west4/training/42?project=acme")
    assert console_link(vertex.target, "projects/1/locations/europe-west4/customJobs/42") == ""


def test_the_end_of_a_log_is_read_in_one_call_oldest_line_first(vertex: Vertex) -> None:
    name = finished_job(vertex)
    job = LiveResource(Address("bot", Role.TRAINING), "custom_job", name, "s", Phase.FAILED, outputs={"job": name})

    lines = log_tail(vertex, job)

    assert log_tail(vertex, job, 2) == lines[-2:]
    assert [line for line in lines if line.startswith("line ")] == ["line 0", "line 1", "line 2"]


@pytest.mark.parametrize("role", list(Role))
def test_what_has_no_log_has_an_empty_one(vertex: Vertex, role: Role) -> None:
    assert log_tail(vertex, LiveResource(Address("bot", role), "kind", "name", "s", Phase.FAILED)) == ()
