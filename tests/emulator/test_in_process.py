"""The services without HTTP: `answer` and `advance` on a world of the test's own, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from reconciler.emulator.answer import METHODS, advance, answer
from reconciler.emulator.settings import Settings
from reconciler.emulator.storage import open_storage
from reconciler.emulator.store import Store
from reconciler.emulator.wire.codec import Message, message_class, new, parse, to_json
from reconciler.emulator.wire.errors import ApiError
from reconciler.emulator.wire.raw_routes import CHAT, INVOKE
from reconciler.emulator.wire.routes import load_routes
from reconciler.emulator.work.health import Health
from reconciler.emulator.work.processes import Processes
from reconciler.emulator.world import Forward, World

PARENT = "projects/p/locations/l"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    ticks = itertools.count(1_800_000_000)
    clock = lambda: float(next(ticks))  # noqa: E731 - a clock that moves on by a second at each look
    settings = Settings(tmp_path, "http://nowhere", "p", {"hold": "hold", "stub": "stub"}, "mark")
    store = Store(tmp_path / "vertex.sqlite")
    client = httpx.AsyncClient()
    with open_storage(tmp_path / "storage") as storage:
        runner = Processes(store, clock, "mark")
        yield World(store, clock, runner, Health(client, lambda: None), settings, storage.folders)
    asyncio.run(client.aclose())
    store.close()


def ask(world: World, method: str, body: dict[str, object]) -> Message:
    return answer(world, method, parse(body, method.partition(".")[2] + "Request"))


def test_a_job_is_created_and_begins_to_run_as_time_passes(world: World) -> None:
    spec = {"workerPoolSpecs": [{"containerSpec": {"imageUri": "hold"}}]}
    job = ask(
        world, "JobService.CreateCustomJob", {"parent": PARENT, "customJob": {"displayName": "x", "jobSpec": spec}}
    )

    advance(world)
    found = to_json(ask(world, "JobService.GetCustomJob", {"name": job.name}))

    assert (to_json(job)["state"], found["state"]) == ("JOB_STATE_PENDING", "JOB_STATE_RUNNING")
    assert found["createTime"] < found["startTime"]


def test_a_prediction_says_where_it_would_go(world: World) -> None:
    container = {"imageUri": "stub", "predictRoute": "/p", "healthRoute": "/h"}
    model = {"displayName": "m", "containerSpec": container}
    ask(world, "ModelService.UploadModel", {"parent": PARENT, "modelId": "m", "model": model})
    ask(
        world, "EndpointService.CreateEndpoint", {"parent": PARENT, "endpointId": "e", "endpoint": {"displayName": "e"}}
    )
    one = {"model": f"{PARENT}/models/m", "id": "1", "dedicatedResources": {"machineSpec": {}, "minReplicaCount": 1}}
    request = {"endpoint": f"{PARENT}/endpoints/e", "deployedModel": one, "trafficSplit": {"0": 100}}
    operation = ask(world, "EndpointService.DeployModel", request)

    advance(world)
    advance(world)
    done = answer(world, "Operations.GetOperation", new("google.longrunning.GetOperationRequest", name=operation.name))
    found = ask(world, "PredictionService.Predict", {"endpoint": f"{PARENT}/endpoints/e", "instances": [1]})

    assert done.done
    assert isinstance(found, Forward)
    assert (found.replicas, found.path, found.body, found.facts["deployedModelId"]) == (
        (),
        "/p",
        b'{"instances": [1]}',
        "1",
    )


def test_a_method_that_is_not_served_is_unimplemented(world: World) -> None:
    with pytest.raises(ApiError, match=r"ModelService\.ExportModel is not implemented") as refused:
        answer(world, "ModelService.ExportModel", None)

    assert refused.value.http_code == 501


def test_every_served_method_of_googles_services_has_a_binding_and_a_request_type() -> None:
    foreign = ("SecretManagerService.", "LoggingServiceV2.", "Operations.", INVOKE, CHAT)

    served = [method for method in METHODS if not method.startswith(foreign)]

    assert set(served) <= load_routes().methods
    assert all(message_class(method.partition(".")[2] + "Request") for method in served)


def test_a_failed_write_leaves_nothing_of_the_others_behind(world: World) -> None:
    model = {"displayName": "m", "containerSpec": {"imageUri": "stub"}}
    ask(world, "ModelService.UploadModel", {"parent": PARENT, "modelId": "m", "model": model})

    with pytest.raises(ApiError, match="already exists"):
        ask(world, "ModelService.UploadModel", {"parent": PARENT, "modelId": "m", "model": model})

    versions = ask(world, "ModelService.ListModelVersions", {"name": f"{PARENT}/models/m"})
    assert [one.version_id for one in versions.models] == ["1"]
