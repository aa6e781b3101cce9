"""The replicas of one deployed model: starts as many as are wanted, drains and ends those that are too many, and
starts again what crashed or hangs, later each time.

Decides how many there are and which of them may take requests; when an operation is over is decided elsewhere.
What is known of replicas lives as long as this process: the next one starts them anew.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path

from reconciler.emulator import checkpoints, deployments
from reconciler.emulator.settings import STUB
from reconciler.emulator.store import Row
from reconciler.emulator.wire.codec import Message
from reconciler.emulator.wire.names import last, project_of
from reconciler.emulator.work.containers import CannotRunError, Words, buckets_in, images_of, launch, texts_of, words
from reconciler.emulator.work.docker import Contained
from reconciler.emulator.world import Probing, Replica, World

DEFAULT_DEADLINE_S = 1800.0
LONGEST_PAUSE_S = 60.0
LONGEST_DRAIN_S = 120.0


def asked(row: Row) -> int:
    """`minReplicaCount` of a deployment; a shared pool counts as one."""
    resources = _resources(row)
    return max(1, resources.min_replica_count if resources else 1)


def wanted(world: World, row: Row) -> int:
    """How many replicas this machine runs of a deployment."""
    return min(asked(row), world.settings.replicas_at_most)


def needed(world: World, row: Row) -> int:
    """How many must be ready for an operation to succeed: `requiredReplicaCount`, else all of them."""
    resources = _resources(row)
    required = getattr(resources, "required_replica_count", 0) if resources else 0
    return min(required or asked(row), wanted(world, row))


def ready(world: World, row: Row) -> list[Replica]:
    """Those that take requests now."""
    return [one for one in _fleet(world, row).values() if _is_ready(world, one)]


def available(world: World, row: Row) -> int:
    """How many are ready; a stub has all that are wanted, from the start."""
    return wanted(world, row) if row.extra.get("stub") else len(ready(world, row))


def choose(world: World, row: Row) -> list[Replica]:
    """The ready replicas, the one whose turn it is first: the least busy, among equals the one that waited longest."""
    found = sorted(ready(world, row), key=lambda one: (one.busy, one.turn))
    if found:
        world.turns.turn += 1
        found[0].turn = world.turns.turn
    return found


def exited(world: World, row: Row) -> list[tuple[Replica, int]]:
    """The replicas whose program has ended by itself, with its exit code."""
    known = [one for one in _fleet(world, row).values() if not one.leaving and world.runner.known(one.key)]
    codes = [(one, world.runner.exit_code(one.key)) for one in known]
    return [(one, code) for one, code in codes if code is not None]


def keep(world: World, row: Row, model: Message) -> None:
    """Bring the deployment nearer to its wanted number of replicas.

    Raises `CannotRunError` or `OSError` when a program cannot be started.
    """
    count = wanted(world, row)
    if not world.mounts.show(deployment_key(row), buckets_in(texts_of(model.container_spec))):
        return
    fleet = _fleet(world, row)
    for number in range(count):
        fleet.setdefault(number, Replica(f"{deployment_key(row)}/{number}", number))
    for one in list(fleet.values()):
        if one.leaving or one.number >= count:
            if _ended(world, one):
                del fleet[one.number]
        else:
            _keep_one(world, row, model, one)


def end(world: World, row: Row) -> bool:
    """End all replicas, each when it has answered what it was asked. True once nothing of them is left."""
    fleet = _fleet(world, row)
    for one in list(fleet.values()):
        if _ended(world, one):
            del fleet[one.number]
    if fleet or not world.mounts.give_back(deployment_key(row)):
        return False
    world.replicas.pop(row.name, None)
    return True


def too_many(world: World, row: Row) -> bool:
    """Whether some are still on their way out."""
    return any(one.leaving for one in _fleet(world, row).values())


def image_known(world: World, model: Message) -> bool:
    """Whether it is known already if the model's image is on this machine; it is being asked else."""
    return all(world.images.known(image) for image in images_of(world.settings, [model.container_spec]))


def is_stub(world: World, model: Message) -> bool:
    """Whether the image stands for no program, and its answers are what it was asked. Raises `CannotRunError`."""
    return _words(world, model) == STUB


def routes(model: Message, row: Row) -> tuple[str, str]:
    """(health route, predict route) of a deployment; the defaults are the service's own."""
    default = f"/v1/endpoints/{last(row.parent)}/deployedModels/{last(row.name)}"
    spec = model.container_spec
    return spec.health_route or default, spec.predict_route or f"{default}:predict"


def deadline(model: Message) -> float:
    """Seconds in which a server must become healthy."""
    seconds: float = model.container_spec.deployment_timeout.ToTimedelta().total_seconds()
    return seconds or DEFAULT_DEADLINE_S


def deployment_key(row: Row) -> str:
    """The name of a deployment among programs: `endpoints/E/D`; its replicas are `endpoints/E/D/0` and so on."""
    return f"endpoints/{last(row.parent)}/{last(row.name)}"


def log_file(world: World, row: Row, number: int = 0) -> Path:
    """Where the output of a replica goes: `D.log` for the first one, `D-1.log` for the next."""
    name = f"{last(row.name)}-{number}" if number else last(row.name)
    return world.settings.folder / "logs" / "endpoints" / last(row.parent) / f"{name}.log"


def _fleet(world: World, row: Row) -> dict[int, Replica]:
    return world.replicas.setdefault(row.name, {})


def _is_ready(world: World, one: Replica) -> bool:
    runs = not one.leaving and world.runner.known(one.key) and world.runner.exit_code(one.key) is None
    return runs and world.prober.healthy(one.key)


def _keep_one(world: World, row: Row, model: Message, one: Replica) -> None:
    now = world.clock()
    if not world.runner.known(one.key):
        if now >= one.again_at and image_known(world, model):
            try:
                _start(world, row, model, one)
            except (CannotRunError, OSError):
                one.again_at = now + LONGEST_PAUSE_S
                raise
        return
    if world.runner.exit_code(one.key) is None:
        healthy = world.prober.healthy(one.key)
        late = row.extra["phase"] == deployments.SERVING and now - one.started > deadline(model)
        if one.ending or world.prober.hangs(one.key) or (late and not healthy and not one.was_ready):
            one.ending = True
            world.runner.stop(one.key, world.settings.grace_s)
        elif healthy:
            one.was_ready = True
            if now - one.started > LONGEST_PAUSE_S:
                one.crashes = 0
        return
    world.prober.forget(one.key)
    if world.runner.gone(one.key):
        world.runner.forget(one.key)
        one.crashes += 1
        one.again_at = now + min(2.0 ** (one.crashes - 1), LONGEST_PAUSE_S)


def _ended(world: World, one: Replica) -> bool:
    """Take a replica out of the turns at once, and end it when it is idle."""
    now = world.clock()
    if not one.leaving:
        one.leaving, one.leave_by = True, now + LONGEST_DRAIN_S
        world.prober.forget(one.key)
    if not world.runner.known(one.key):
        return True
    if world.runner.exit_code(one.key) is None:
        if one.busy and now < one.leave_by:
            return False
        world.runner.stop(one.key, world.settings.grace_s)
    if not world.runner.gone(one.key):
        return False
    world.runner.forget(one.key)
    return True


def _start(world: World, row: Row, model: Message, one: Replica) -> None:
    argv = _words(world, model)
    if isinstance(argv, str):
        raise CannotRunError(f'Image {model.container_spec.image_uri} maps to "{argv}", which is no program.')
    spec = model.container_spec
    # A container may have its port built in; this machine has but one of each.
    one.port = _free_port(spec.ports[0].container_port if isinstance(argv, Contained) and spec.ports else 0)
    one.started, one.was_ready, one.ending = world.clock(), False, False
    health, predict = routes(model, row)
    own = {
        "AIP_HTTP_PORT": str(one.port),
        "AIP_HEALTH_ROUTE": health,
        "AIP_PREDICT_ROUTE": predict,
        "AIP_MODE": "PREDICTION",
        "AIP_ENDPOINT_ID": last(row.parent),
        "AIP_DEPLOYED_MODEL_ID": last(row.name),
        "AIP_MODEL_NAME": last(model.name),
        "AIP_VERSION_NAME": model.version_id,
        "AIP_PROJECT_NUMBER": project_of(row.parent),
    }
    given = {variable.name: variable.value for variable in spec.env}
    artifact = checkpoints.folder(model, deployments.read(row).checkpoint_id, "deployed_model.checkpoint_id")
    own["AIP_STORAGE_URI"] = artifact or given.get("AIP_STORAGE_URI", "")
    program = launch(
        world.settings,
        world.mounts,
        argv,
        given,
        own,
        folder=world.settings.folder / "replicas" / last(row.parent) / last(row.name) / str(one.number),
        log=log_file(world, row, one.number),
        key=one.key,
    )
    world.runner.start(one.key, program)
    world.prober.watch(one.key, f"http://127.0.0.1:{one.port}{health}", _probing(spec))


def _probing(spec: Message) -> Probing:
    """What the container's own probes say, else what the service does: every ten seconds, and four in a row count."""
    health, liveness = spec.health_probe, spec.liveness_probe
    usual = Probing()
    return Probing(
        every_s=_first((health.period_seconds, liveness.period_seconds), usual.every_s),
        within_s=_first((health.timeout_seconds, liveness.timeout_seconds), usual.within_s),
        sick_after=int(_first((health.failure_threshold,), usual.sick_after)),
        hangs_after=int(_first((liveness.failure_threshold,), usual.hangs_after)),
    )


def _first(given: Iterable[float], usual: float) -> float:
    return next((float(value) for value in given if value > 0), usual)


def _words(world: World, model: Message) -> Words | str:
    spec = model.container_spec
    argv = words(world.settings, world.images, spec.image_uri, spec.command, spec.args)
    if isinstance(argv, str) and argv != STUB:
        raise CannotRunError(f'Image {spec.image_uri} maps to "{argv}", which is for jobs, not for serving.')
    return argv


def _resources(row: Row) -> Message | None:
    one = deployments.read(row)
    kind = one.WhichOneof("prediction_resources")
    return getattr(one, kind) if kind in ("dedicated_resources", "automatic_resources") else None


def _free_port(wanted: int = 0) -> int:
    """The port that is wanted, if it is free, else any."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
