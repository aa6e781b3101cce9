"""Faults, quotas and the clock without HTTP: `answer` and `advance` on a world whose time the test moves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.emulator.answer import advance, answer
from reconciler.emulator.clock import Clock, set_clock
from reconciler.emulator.fates import order_fault
from reconciler.emulator.faults import LostResponseError
from reconciler.emulator.quotas import Quota, Quotas, read_quotas
from reconciler.emulator.settings import Settings
from reconciler.emulator.storage import open_storage
from reconciler.emulator.store import Store
from reconciler.emulator.wire.codec import Message, parse, to_json
from reconciler.emulator.wire.errors import ApiError
from reconciler.emulator.work.health import Health
from reconciler.emulator.work.processes import Processes
from reconciler.emulator.world import World

PARENT = "projects/p/locations/us-central1"
CREATE = "JobService.CreateCustomJob"


@pytest.fixture
def clock() -> Clock:
    return Clock(lambda: 1_800_000_000.0, stopped=1_800_000_000.0)


@pytest.fixture
def world(tmp_path: Path, clock: Clock) -> Iterator[World]:
    programs = {"hold": "hold", "sleeper": ("sleep", "600")}
    settings = Settings(tmp_path, "http://nowhere", "p", programs, "mark", jobs_at_once=9, grace_s=0.0)
    store = Store(tmp_path / "vertex.sqlite")
    client = httpx.AsyncClient()
    with open_storage(tmp_path / "storage", clock) as storage:
        runner = Processes(store, clock, "mark")
        yield World(store, clock, runner, Health(client, lambda: None), settings, storage.folders)
        runner.end_all(0.0)
    asyncio.run(client.aclose())
    store.close()


def ask(world: World, method: str, **body: Any) -> Any:
    return answer(world, method, parse(body, method.partition(".")[2] + "Request"))


def create(world: World, image: str = "hold", strategy: str = "STANDARD", gpus: int = 0) -> Any:
    machine = {"machineType": "g2-standard-12"} | (
        {"acceleratorType": "NVIDIA_L4", "acceleratorCount": gpus} if gpus else {}
    )
    pools = [{"containerSpec": {"imageUri": image}, "machineSpec": machine, "replicaCount": "1"}]
    spec = {"workerPoolSpecs": pools, "scheduling": {"strategy": strategy}}
    return ask(world, CREATE, parent=PARENT, customJob={"displayName": "a job", "jobSpec": spec})


def look(world: World, job: Message) -> dict[str, Any]:
    return to_json(ask(world, "JobService.GetCustomJob", name=job.name))


def listed(world: World) -> list[str]:
    return [one.name for one in ask(world, "JobService.ListCustomJobs", parent=PARENT).custom_jobs]


def until(world: World, job: Message, state: str, since: str = "") -> dict[str, Any]:
    """Let work go on until the job is so, and has begun after `since`; programs end in real time."""
    deadline = time.monotonic() + 20
    while True:
        advance(world)
        found = look(world, job)
        if found["state"] == state and found.get("startTime", "~") > since:
            return found
        assert time.monotonic() < deadline, f"{state} did not come: {found}"
        time.sleep(0.002)


def test_a_status_strikes_as_often_as_it_was_ordered(world: World) -> None:
    order_fault(world, {"match": {"method": CREATE}, "times": 2, "effect": {"status": 503}})

    for _ in range(2):
        with pytest.raises(ApiError, match="currently unavailable") as refused:
            create(world)
        assert refused.value.envelope()["error"]["status"] == "UNAVAILABLE"

    assert look(world, create(world))["state"] == "JOB_STATE_PENDING"
    assert world.faults.orders == ()


def test_a_lost_response_leaves_the_effect_behind(world: World) -> None:
    order_fault(world, {"match": {"method": CREATE}, "effect": {"lost": True}})

    with pytest.raises(LostResponseError):
        create(world)

    assert len(listed(world)) == 1


def test_a_fault_strikes_only_the_resource_that_it_names(world: World) -> None:
    one, other = create(world), create(world)
    order_fault(world, {"match": {"resource": f"*/{one.name.rpartition('/')[2]}"}, "effect": {"status": "NOT_FOUND"}})

    assert look(world, other)["name"] == other.name
    with pytest.raises(ApiError, match="not found"):
        look(world, one)


def test_chances_take_the_same_course_with_the_same_seed(world: World) -> None:
    def course() -> list[bool]:
        world.faults.clear()
        order_fault(
            world, {"match": {"method": "*.List*"}, "times": None, "chance": 0.5, "seed": 7, "effect": {"status": 500}}
        )
        struck = []
        for _ in range(20):
            try:
                listed(world)
                struck.append(False)
            except ApiError:
                struck.append(True)
        return struck

    assert course() == course()
    assert 0 < sum(course()) < 20


def test_stale_lists_lag_behind_and_gets_do_not(world: World, clock: Clock) -> None:
    old, gone = create(world), create(world)
    order_fault(world, {"times": None, "effect": {"stale_s": 10}})
    set_clock(clock, {"advance_s": 5})
    new = create(world)
    world.store.drop("job", gone.name)

    lagging = listed(world)
    found = look(world, new)
    set_clock(clock, {"advance_s": 11})

    assert lagging == [gone.name, old.name]
    assert found["name"] == new.name
    assert listed(world) == [new.name, old.name]


def test_a_delay_passes_before_the_effect(world: World) -> None:
    order_fault(world, {"effect": {"delay_s": 3}})
    pauses: list[float] = []

    slow = World(world.store, world.clock, world.runner, world.prober, world.settings, world.mounts,
                 faults=world.faults, pause=pauses.append)  # fmt: skip
    listed(slow)

    assert pauses == [3]


@pytest.mark.parametrize("image", ["hold", "sleeper"])
def test_a_job_finds_no_machine(world: World, image: str) -> None:
    order_fault(world, {"effect": {"stock_out": "run"}})

    job = create(world, image)
    error = until(world, job, "JOB_STATE_FAILED")["error"]

    assert error["code"] == 8
    assert error["message"].startswith("Resources are insufficient in region: us-central1.")


def test_a_stock_out_can_show_when_the_job_is_created(world: World) -> None:
    order_fault(world, {"effect": {"stock_out": "create"}})

    with pytest.raises(ApiError, match="Resources are insufficient") as refused:
        create(world)

    assert (refused.value.http_code, listed(world)) == (429, [])


@pytest.mark.parametrize("image", ["hold", "sleeper"])
def test_a_job_fails_with_the_chosen_message_after_its_time(world: World, clock: Clock, image: str) -> None:
    order_fault(world, {"effect": {"fail": "The loss diverged.", "after_s": 60}})
    job = create(world, image)
    until(world, job, "JOB_STATE_RUNNING")
    advance(world)
    before = look(world, job)["state"]

    set_clock(clock, {"advance_s": 61})
    failed = until(world, job, "JOB_STATE_FAILED")

    assert before == "JOB_STATE_RUNNING"
    assert failed["error"]["message"].startswith("The loss diverged.")


@pytest.mark.parametrize("image", ["hold", "sleeper"])
def test_a_preempted_spot_job_is_stopped_and_runs_again(world: World, clock: Clock, image: str) -> None:
    order_fault(world, {"effect": {"preempt": True, "after_s": 60}})
    job = create(world, image, strategy="SPOT")
    first = until(world, job, "JOB_STATE_RUNNING")["startTime"]

    set_clock(clock, {"advance_s": 61})
    again = until(world, job, "JOB_STATE_RUNNING", since=first)["startTime"]
    set_clock(clock, {"advance_s": 61})
    advance(world)

    assert first < again
    assert look(world, job)["state"] == "JOB_STATE_RUNNING"


def test_a_standard_job_is_never_preempted(world: World, clock: Clock) -> None:
    order_fault(world, {"effect": {"preempt": True}})
    job = create(world)
    first = until(world, job, "JOB_STATE_RUNNING")["startTime"]

    set_clock(clock, {"advance_s": 61})
    advance(world)

    assert look(world, job)["startTime"] == first


def test_a_job_that_outlives_its_timeout_ends_by_the_virtual_clock(world: World, clock: Clock) -> None:
    job = create(world, "sleeper")
    until(world, job, "JOB_STATE_RUNNING")

    set_clock(clock, {"advance_s": 7 * 24 * 3600 + 1})

    assert "longer than its timeout" in until(world, job, "JOB_STATE_FAILED")["error"]["message"]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"effect": {}},
        {"effect": {"status": 200}},
        {"effect": {"status": "SAD"}},
        {"effect": {"statos": 503}},
        {"effect": {"message": "no effect"}},
        {"effect": {"delay_s": -1}},
        {"effect": {"delay_s": True}},
        {"effect": {"lost": "yes"}},
        {"effect": {"stock_out": "later"}},
        {"effect": {"fail": 3}},
        {"effect": {"lost": True}, "times": 0},
        {"effect": {"lost": True}, "chance": 2},
        {"effect": {"lost": True}, "match": {"verb": "GET"}},
        {"effect": {"lost": True}, "match": {"method": 3}},
        {"effect": {"crash": True}, "match": {"method": "storage.GET"}},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(world: World, asked: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as refused:
        order_fault(world, asked)

    assert (refused.value.status, world.faults.orders) == ("INVALID_ARGUMENT", ())


def test_requests_beyond_the_quota_of_a_minute_are_refused_until_it_has_passed(world: World, clock: Clock) -> None:
    world.quotas.table = (Quota("job_submission_requests", "us-*", 2),)
    create(world)
    create(world)

    with pytest.raises(ApiError, match="Quota exceeded for quota metric 'Job or LRO submission requests'") as refused:
        create(world)
    listed(world)
    set_clock(clock, {"advance_s": 61})
    create(world)

    assert refused.value.http_code == 429


def test_accelerators_beyond_the_quota_are_refused_until_others_are_given_back(world: World) -> None:
    world.quotas.table = (Quota("custom_model_training_nvidia_l4_gpus", "*", 2),)
    job = create(world, gpus=2)

    with pytest.raises(ApiError) as refused:
        create(world, gpus=1)
    spot = create(world, gpus=4, strategy="SPOT")
    ask(world, "JobService.CancelCustomJob", name=job.name)
    until(world, job, "JOB_STATE_CANCELLED")
    create(world, gpus=1)

    assert spot.name
    assert refused.value.status == "RESOURCE_EXHAUSTED"
    assert refused.value.message == (
        "The following quota metrics exceed quota limits: "
        "aiplatform.googleapis.com/custom_model_training_nvidia_l4_gpus"
    )


def test_a_table_of_quotas_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "quotas.json"
    file.write_text('[{"metric": "aiplatform.googleapis.com/custom_model_serving_nvidia_l4_gpus", "limit": 1}]')

    table = read_quotas(file)

    assert Quotas(table).limit("custom_model_serving_nvidia_l4_gpus", "anywhere") == 1


@pytest.mark.parametrize(
    "text", ["{", "{}", "[{}]", '[{"metric": "apples", "limit": 1}]', '[{"metric": 1, "limit": 1}]']
)
def test_a_table_of_quotas_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "quotas.json"
    file.write_text(text)

    with pytest.raises(ValueError, match="--quotas"):
        read_quotas(file)
