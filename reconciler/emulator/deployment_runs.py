"""Makes deployed models serve: starts their programs, waits for health, restarts what crashed, ends what is undeployed.

One call of `advance` does what can be done now and never blocks. The first cut runs one replica per deployed model.
"""

from __future__ import annotations

import socket
from pathlib import Path

from reconciler.emulator import deployments, endpoints, models, operations
from reconciler.emulator.settings import STUB
from reconciler.emulator.store import BUSY, Row
from reconciler.emulator.wire.codec import Message, new
from reconciler.emulator.wire.errors import ApiError, Json, precondition
from reconciler.emulator.wire.names import last, project_of
from reconciler.emulator.work.containers import CannotRunError, buckets_in, launch, texts_of, words
from reconciler.emulator.work.logs import tail
from reconciler.emulator.world import World

DEFAULT_DEADLINE_S = 1800.0
LONGEST_PAUSE_S = 60.0


def advance(world: World) -> bool:
    """One pass over all deployments. True when one is starting or stopping and wants to be looked at soon."""
    soon = False
    for row in world.store.working(deployments.KIND, BUSY):
        phase = row.extra["phase"]
        if phase == deployments.STARTING:
            _start(world, row)
        elif phase == deployments.SERVING:
            _keep_up(world, row)
        else:
            _stop(world, row)
        soon = soon or phase != deployments.SERVING
    return soon


def key(row: Row) -> str:
    """The runner's name for the replica: `endpoints/E/D`."""
    return f"endpoints/{last(row.parent)}/{last(row.name)}"


def ready(world: World, row: Row) -> bool:
    """Whether its server answers now."""
    if row.extra["phase"] != deployments.SERVING:
        return False
    if row.extra.get("stub"):
        return True
    return world.runner.known(key(row)) and world.runner.exit_code(key(row)) is None and world.prober.healthy(key(row))


def log_file(world: World, row: Row) -> Path:
    """Where the output of a deployment goes."""
    return world.settings.folder / "logs" / "endpoints" / last(row.parent) / f"{last(row.name)}.log"


def routes(model: Message, row: Row) -> tuple[str, str]:
    """(health route, predict route) of a deployment; the defaults are the service's own."""
    default = f"/v1/endpoints/{last(row.parent)}/deployedModels/{last(row.name)}"
    spec = model.container_spec
    return spec.health_route or default, spec.predict_route or f"{default}:predict"


def _start(world: World, row: Row) -> None:
    name = key(row)
    try:
        model = models.find(world, f"{row.extra['model']}@{row.extra['version']}")
        if not world.runner.known(name):
            if not world.mounts.show(name, buckets_in(texts_of(model.container_spec))):
                return
            row = _launch(world, row, model)
        if row.extra.get("stub") or world.prober.healthy(name):
            _serve(world, row, model)
            return
        code = world.runner.exit_code(name)
        if code is not None:
            raise precondition(
                f"Model server exited unexpectedly (status {code}). Model server logs can be found at "
                f"{log_file(world, row)}. The last lines:\n{tail(log_file(world, row))}"
            )
        spec = model.container_spec
        limit = spec.deployment_timeout.ToTimedelta().total_seconds() or DEFAULT_DEADLINE_S
        if world.clock() - row.extra["since"] > limit:
            raise precondition(
                f"Model server never became ready: {routes(model, row)[0]} did not answer 200 within {limit:g} s. "
                f"Model server logs can be found at {log_file(world, row)}. The last lines:\n"
                f"{tail(log_file(world, row))}"
            )
    except (ApiError, CannotRunError, OSError) as error:
        failed = error if isinstance(error, ApiError) else precondition(str(error))
        metadata = new("DeployModelOperationMetadata", deployment_stage=deployments.STAGE_FAILED)
        with world.store.together():
            operations.fail(world, row.extra["operation"], failed, metadata)
            _save(world, row, phase=deployments.STOPPING, operation="")


def _serve(world: World, row: Row, model: Message) -> None:
    """The server is healthy: the endpoint lists it, the traffic moves, the operation is over."""
    try:
        endpoint = endpoints.find(world, row.parent)
    except ApiError:
        return
    one = deployments.read(row)
    endpoint.deployed_models.append(one)
    split = {one.id if name == "0" else name: share for name, share in row.extra["split"].items()}
    if split:
        present = {found.id for found in endpoint.deployed_models}
        gone = sum(share for name, share in split.items() if name not in present)
        split = {name: share for name, share in split.items() if name in present}
        if gone:  # undeployed meanwhile: the new one takes what they had
            split[one.id] = split.get(one.id, 0) + gone
        endpoint.traffic_split.clear()
        endpoint.traffic_split.update(split)
    metadata = new("DeployModelOperationMetadata", deployment_stage=deployments.STAGE_DONE)
    with world.store.together():
        endpoints.save(world, endpoint)
        _save(world, row, phase=deployments.SERVING, operation="")
        response = new("DeployModelResponse", deployed_model=one)
        operations.succeed(world, row.extra["operation"], response, metadata)


def _keep_up(world: World, row: Row) -> None:
    """Start the server again after a crash, later each time; and after a restart of this process, at once."""
    name = key(row)
    if row.extra.get("stub"):
        return
    if world.runner.known(name):
        if world.runner.exit_code(name) is None:
            if row.extra.get("crashes") and world.prober.healthy(name):
                _save(world, row, crashes=0)
            return
        world.prober.forget(name)
        if not world.runner.gone(name):
            return
        world.runner.forget(name)
        crashes = row.extra.get("crashes", 0) + 1
        _save(world, row, crashes=crashes, again_at=world.clock() + min(2.0 ** (crashes - 1), LONGEST_PAUSE_S))
        return
    if world.clock() >= row.extra.get("again_at", 0.0):
        try:
            model = models.find(world, f"{row.extra['model']}@{row.extra['version']}")
            if world.mounts.show(name, buckets_in(texts_of(model.container_spec))):
                _launch(world, row, model)
        except (ApiError, CannotRunError, OSError):
            crashes = row.extra.get("crashes", 0) + 1
            _save(world, row, crashes=crashes, again_at=world.clock() + LONGEST_PAUSE_S)


def _stop(world: World, row: Row) -> None:
    name = key(row)
    world.prober.forget(name)
    if world.runner.known(name):
        if world.runner.exit_code(name) is None:
            world.runner.stop(name, world.settings.grace_s)
        if not world.runner.gone(name):
            return
        world.runner.forget(name)
    if not world.mounts.give_back(name):
        return
    with world.store.together():
        world.store.drop(deployments.KIND, row.name)
        if row.extra["operation"]:
            operations.succeed(world, row.extra["operation"], new("UndeployModelResponse"))


def _launch(world: World, row: Row, model: Message) -> Row:
    """Start the program of a deployment. Raises `CannotRunError` or `OSError`."""
    spec = model.container_spec
    argv = words(world.settings, spec.image_uri, spec.command, spec.args)
    if argv == STUB:
        return _save(world, row, stub=True)
    if isinstance(argv, str):
        raise CannotRunError(f'Image {spec.image_uri} maps to "{argv}", which is for jobs, not for serving.')
    port = _free_port()
    health, predict = routes(model, row)
    own = {
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": health,
        "AIP_PREDICT_ROUTE": predict,
        "AIP_MODE": "PREDICTION",
        "AIP_ENDPOINT_ID": last(row.parent),
        "AIP_DEPLOYED_MODEL_ID": last(row.name),
        "AIP_MODEL_NAME": last(model.name),
        "AIP_VERSION_NAME": model.version_id,
        "AIP_PROJECT_NUMBER": project_of(row.parent),
        "AIP_STORAGE_URI": model.artifact_uri,
    }
    name = key(row)
    program = launch(
        world.settings,
        world.mounts,
        argv,
        {variable.name: variable.value for variable in spec.env},
        own,
        folder=world.settings.folder / "replicas" / last(row.parent) / last(row.name),
        log=log_file(world, row),
        key=name,
    )
    world.runner.start(name, program)
    world.prober.watch(name, f"http://127.0.0.1:{port}{health}")
    return _save(world, row, port=port)


def _save(world: World, row: Row, **changes: object) -> Row:
    extra: Json = {**row.extra, **changes}
    changed = Row(row.kind, row.name, row.parent, row.body, extra, BUSY)
    world.store.save(changed)
    return changed


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
