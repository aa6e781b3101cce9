"""Makes deployed models serve: when a deployment is up, changed or gone, and how its operations end.

One call of `advance` does what can be done now and never blocks. The single replicas are kept by `replicas`.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.emulator import deployments, endpoints, fates, models, operations, replicas
from reconciler.emulator.steps import each
from reconciler.emulator.store import BUSY, HELD, Row
from reconciler.emulator.wire.codec import Message, new
from reconciler.emulator.wire.errors import ApiError, Json, precondition
from reconciler.emulator.work.containers import CannotRunError
from reconciler.emulator.work.logs import tail
from reconciler.emulator.world import World


def advance(world: World) -> bool:
    """One pass over all deployments. True when one is starting or stopping and wants to be looked at soon."""
    return each(world, deployments.KIND, _step)


def _step(world: World, row: Row) -> bool:
    phase = row.extra["phase"]
    if phase == deployments.STARTING:
        _start(world, row)
    elif phase == deployments.SERVING:
        _keep_up(world, row)
    else:
        _stop(world, row)
    return phase != deployments.SERVING or bool(row.extra.get("mutations"))


def _start(world: World, row: Row) -> None:
    try:
        fated = fates.at_deployment(world, row)
        if fated is not None:
            raise fated
        model = models.find(world, f"{row.extra['model']}@{row.extra['version']}")
        if row.extra.get("capped") != replicas.asked(row):
            if not replicas.image_known(world, model):
                return
            row = _save(world, row, capped=replicas.asked(row), stub=replicas.is_stub(world, model))
            _say_cap(world, row)
        if not row.extra["stub"]:
            _look_for_exits(world, row)
            replicas.keep(world, row, model)
        if replicas.available(world, row) >= replicas.needed(world, row):
            _serve(world, row)
            return
        if world.clock() - row.extra["since"] > replicas.deadline(model):
            raise _never_ready(world, row, model)
    except (ApiError, CannotRunError, OSError) as error:
        failed = error if isinstance(error, ApiError) else precondition(str(error))
        metadata = new("DeployModelOperationMetadata", deployment_stage=deployments.STAGE_FAILED)
        with world.store.together():
            operations.fail(world, row.extra["operation"], failed, metadata)
            _save(world, row, phase=deployments.STOPPING, operation="")


def _look_for_exits(world: World, row: Row) -> None:
    """Raises FAILED_PRECONDITION when too many servers have ended by themselves for the deployment to succeed."""
    exited = replicas.exited(world, row)
    if exited and replicas.wanted(world, row) - len(exited) < replicas.needed(world, row):
        one, code = exited[0]
        log = replicas.log_file(world, row, one.number)
        raise precondition(
            f"Model server exited unexpectedly (status {code}). Model server logs can be found at {log}. "
            f"The last lines:\n{tail(log)}"
        )


def _never_ready(world: World, row: Row, model: Message) -> ApiError:
    one = min(set(range(replicas.wanted(world, row))) - {one.number for one in replicas.ready(world, row)}, default=0)
    log = replicas.log_file(world, row, one)
    return precondition(
        f"Model server never became ready: {replicas.routes(model, row)[0]} did not answer 200 within "
        f"{replicas.deadline(model):g} s ({replicas.available(world, row)} of {replicas.wanted(world, row)} replicas "
        f"are ready). Model server logs can be found at {log}. The last lines:\n{tail(log)}"
    )


def _serve(world: World, row: Row) -> None:
    """Enough servers are healthy: the endpoint lists it, the traffic moves, the operation is over."""
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
        _note(world, _save(world, row, phase=deployments.SERVING, operation=""))
        response = new("DeployModelResponse", deployed_model=one)
        operations.succeed(world, row.extra["operation"], response, metadata)


def _keep_up(world: World, row: Row) -> None:
    """Start servers again after a crash, and after a restart of this process; end operations that change them."""
    if row.extra.get("capped") != replicas.asked(row):
        row = _save(world, row, capped=replicas.asked(row))
        _say_cap(world, row)
    message = ""
    try:
        model = models.find(world, f"{row.extra['model']}@{row.extra['version']}")
        if not row.extra.get("stub"):
            replicas.keep(world, row, model)
        if row.extra.get("mutations"):
            row = _settle(world, row, model)
    except (ApiError, CannotRunError, OSError) as error:  # it is tried again; whoever looks is told
        message = str(error)
    row = _note(world, row, message)
    if row.extra.get("stub") and not message and not row.extra.get("mutations"):
        # Nothing runs that could fail: it is looked at again when somebody changes it, and at the next start.
        world.store.save(replace(row, work=HELD))


def _settle(world: World, row: Row, model: Message) -> Row:
    """End the operations that have changed the number of replicas, once it is as they wanted it."""
    settled = replicas.available(world, row) >= replicas.needed(world, row) and not replicas.too_many(world, row)
    late = world.clock() - row.extra["mutated"] > replicas.deadline(model)
    if not settled and not late:
        return row
    with world.store.together():
        for name in row.extra["mutations"]:
            if settled:
                response = new("MutateDeployedModelResponse", deployed_model=deployments.read(row))
                operations.succeed(world, name, response)
            else:
                operations.fail(world, name, _never_ready(world, row, model))
        return _save(world, row, mutations=[])


def _stop(world: World, row: Row) -> None:
    if not replicas.end(world, row):
        return
    with world.store.together():
        world.store.drop(deployments.KIND, row.name)
        for name in row.extra.get("mutations", ()):
            operations.fail(world, name, precondition("The DeployedModel was undeployed meanwhile."))
        if row.extra["operation"]:
            operations.succeed(world, row.extra["operation"], new("UndeployModelResponse"))


def _note(world: World, row: Row, message: str = "") -> Row:
    """Remember what `DeployedModel.status` shows, when it has changed."""
    found = replicas.available(world, row)
    asked, wanted = replicas.asked(row), replicas.wanted(world, row)
    told = [message] if message else []
    if wanted < asked:
        told.append(f"{asked} replicas are asked for; this machine runs at most {wanted} (--replicas-at-most).")
    if (row.extra.get("available"), row.extra.get("told")) == (found, " ".join(told)):
        return row
    return _save(world, row, available=found, told=" ".join(told), noted=world.clock())


def _say_cap(world: World, row: Row) -> None:
    """Tell the deployment's log that there are fewer replicas than were asked for."""
    asked, wanted = replicas.asked(row), replicas.wanted(world, row)
    if wanted < asked:
        log = replicas.log_file(world, row)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as lines:
            lines.write(f"{asked} replicas are asked for; this machine runs {wanted} of them (--replicas-at-most).\n")


def _save(world: World, row: Row, **changes: object) -> Row:
    extra: Json = {**row.extra, **changes}
    changed = Row(row.kind, row.name, row.parent, row.body, extra, BUSY)
    world.store.save(changed)
    return changed
