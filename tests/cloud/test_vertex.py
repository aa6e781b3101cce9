"""Google's own clients against the embedded Vertex AI: what comes back, and which error a refusal becomes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from reconciler.cloud.errors import LostAnswer, Unreachable
from reconciler.cloud.retry import Patience
from reconciler.cloud.vertex import Vertex, connect
from reconciler.core.calls import Call
from reconciler.core.errors import Conflict, LoraformError, NotFound, Terminal
from reconciler.core.target import Target
from tests.cloud.fake_clock import Hand
from tests.cloud.wishes import MACHINE

ONCE = Patience(attempts=1)


@pytest.fixture
def vertex(target: Target) -> Vertex:
    return connect(target)


def endpoint_call(target: Target, name: str, tolerate: frozenset[str] = frozenset()) -> Call:
    request = {
        "parent": target.parent,
        "endpoint_id": name,
        "endpoint": {"display_name": name, "labels": {"loraform-fleet": target.fleet}},
    }
    return Call("EndpointService", "CreateEndpoint", request, tolerate)


def job_call(target: Target, label: str = "a") -> Call:
    pool = {"machine_spec": MACHINE, "replica_count": 1, "container_spec": {"image_uri": "train"}}
    job = {
        "display_name": "job",
        "labels": {"loraform-fleet": target.fleet, "kind": label},
        "job_spec": {"worker_pool_specs": [pool], "scheduling": {"timeout": "3600s", "strategy": "SPOT"}},
    }
    return Call("JobService", "CreateCustomJob", {"parent": target.parent, "custom_job": job})


def test_a_call_answers_with_proto_names_and_enum_names(vertex: Vertex, target: Target) -> None:
    answer = vertex.perform(job_call(target))

    assert answer["state"] in ("JOB_STATE_QUEUED", "JOB_STATE_PENDING", "JOB_STATE_RUNNING")
    assert answer["job_spec"]["scheduling"] == {"timeout": "3600s", "strategy": "SPOT"}


def test_a_long_running_call_answers_with_its_operation_which_can_be_followed(vertex: Vertex, target: Target) -> None:
    operation = vertex.perform(endpoint_call(target, f"{target.fleet}-followed"))

    made = vertex.wait(operation, 10)

    assert made is not None
    assert str(made["name"]).endswith(f"/endpoints/{target.fleet}-followed")


def test_an_operation_that_takes_longer_than_the_bound_answers_nothing(vertex: Vertex) -> None:
    assert vertex.wait({"name": "projects/1/locations/x/operations/1", "done": False}, 0.0) is None


def test_an_operation_that_failed_raises_its_error(vertex: Vertex) -> None:
    failed = {"name": "op", "done": True, "error": {"code": 5, "message": "no such model"}}

    with pytest.raises(NotFound, match="no such model"):
        vertex.wait(failed, 10)


def test_a_list_follows_all_pages_and_filters_on_the_server(vertex: Vertex, target: Target) -> None:
    for label in ("a", "a", "a", "b"):
        vertex.perform(job_call(target, label))
    query = f"labels.loraform-fleet={target.fleet} AND labels.kind=a"
    request = {"parent": target.parent, "filter": query, "page_size": 2}

    jobs = list(vertex.list("JobService", "ListCustomJobs", request, "custom_jobs"))

    assert [job["labels"]["kind"] for job in jobs] == ["a", "a", "a"]
    assert len({job["name"] for job in jobs}) == 3


def test_the_operations_of_an_endpoint_can_be_listed(vertex: Vertex, target: Target) -> None:
    made = vertex.wait(vertex.perform(endpoint_call(target, f"{target.fleet}-ops")), 10)
    assert made is not None

    operations = vertex.operations(str(made["name"]))

    assert [operation["done"] for operation in operations] == [True]


def test_what_does_not_exist_is_not_found(vertex: Vertex, target: Target) -> None:
    with pytest.raises(NotFound) as caught:
        vertex.perform(Call("EndpointService", "GetEndpoint", {"name": f"{target.parent}/endpoints/nope"}))

    assert (caught.value.status, caught.value.code) == ("NOT_FOUND", 404)


def test_a_taken_name_is_a_conflict_with_googles_own_word(vertex: Vertex, target: Target) -> None:
    call = endpoint_call(target, f"{target.fleet}-twice")
    vertex.perform(call)

    with pytest.raises(Conflict) as caught:
        vertex.perform(call)

    assert caught.value.status == "ALREADY_EXISTS"


def test_a_tolerated_status_is_an_empty_answer(vertex: Vertex, target: Target) -> None:
    vertex.perform(endpoint_call(target, f"{target.fleet}-again"))

    answer = vertex.perform(endpoint_call(target, f"{target.fleet}-again", frozenset({"ALREADY_EXISTS"})))

    assert answer == {}


def test_a_failed_precondition_is_told_apart_from_a_bad_argument(vertex: Vertex, target: Target) -> None:
    name = vertex.perform(job_call(target))["name"]

    with pytest.raises(Terminal) as bad:
        vertex.perform(Call("EndpointService", "CreateEndpoint", {"parent": target.parent, "endpoint_id": "UPPER"}))
    with pytest.raises(Terminal) as early:
        vertex.perform(Call("JobService", "DeleteCustomJob", {"name": name}))

    assert (bad.value.status, early.value.status) == ("INVALID_ARGUMENT", "FAILED_PRECONDITION")


def test_a_request_that_googles_types_refuse_is_never_sent(vertex: Vertex, target: Target) -> None:
    with pytest.raises(LoraformError, match="no_such_field"):
        vertex.perform(Call("JobService", "CreateCustomJob", {"parent": target.parent, "no_such_field": 1}))


def test_a_method_that_google_does_not_have_is_a_clear_error(vertex: Vertex) -> None:
    with pytest.raises(LoraformError, match="has no method MakeCoffee"):
        vertex.perform(Call("JobService", "MakeCoffee", {}))


def test_a_server_that_is_not_running_says_so(target: Target) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    vertex = connect(replace(target, api_endpoint=address), patience=ONCE)

    with pytest.raises(Unreachable) as caught:
        vertex.perform(job_call(target))

    assert not caught.value.sent
    assert "loraform up" in caught.value.remedy


def test_a_job_sent_over_a_connection_that_breaks_is_a_lost_answer(target: Target) -> None:
    with server_that_hangs_up() as address:
        vertex = connect(replace(target, api_endpoint=address), clock=Hand().clock)

        with pytest.raises(LostAnswer) as caught:
            vertex.perform(job_call(target))

    assert not caught.value.answered


def test_reading_over_a_connection_that_breaks_is_tried_again(target: Target) -> None:
    hand = Hand()
    with server_that_hangs_up() as address:
        vertex = connect(replace(target, api_endpoint=address), clock=hand.clock)

        with pytest.raises(Unreachable):
            vertex.perform(Call("EndpointService", "GetEndpoint", {"name": f"{target.parent}/endpoints/x"}))

    assert len(hand.slept) >= 2


@contextmanager
def server_that_hangs_up() -> Iterator[str]:
    """Accepts every connection, reads a request, and closes without an answer."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    def hang_up() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.recv(65536)
            connection.close()

    thread = threading.Thread(target=hang_up, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
