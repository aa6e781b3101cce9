"""EndpointService, what is deployed at endpoints: deploy, undeploy, mutate. What starts the servers: deployment_runs.

A row `deployment` exists from the moment that deployModel is accepted until its programs are gone; its `phase` is
`starting`, `serving` or `stopping`. The endpoint lists it only while it serves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.emulator import checkpoints, endpoints, models, operations
from reconciler.emulator.store import BUSY, Row
from reconciler.emulator.wire.checks import check_display_name, check_split, copy_field, masked_paths, required
from reconciler.emulator.wire.codec import Message, message_class, new
from reconciler.emulator.wire.errors import invalid, not_found, precondition, taken
from reconciler.emulator.wire.names import new_id
from reconciler.emulator.world import Method, World, stamp

KIND = models.DEPLOYMENT
STARTING, SERVING, STOPPING = "starting", "serving", "stopping"
STAGE_STARTING, STAGE_SERVER, STAGE_DONE, STAGE_FAILED = 5, 3, 11, 12
_MUTABLE = {"dedicated_resources", "automatic_resources", "disable_container_logging"}


def deploy(world: World, request: Message) -> Message:
    """DeployModel: checks everything now; the operation is over when the server answers its health route."""
    endpoint = endpoints.find(world, request.endpoint)
    one = request.deployed_model
    if not one.model:
        raise required("deployed_model.model")
    model = models.find(world, one.model)
    if model.container_spec.invoke_route_prefix and not endpoint.dedicated_endpoint_enabled:
        raise precondition(
            f"The Model {model.name} has an invokeRoutePrefix: it can be deployed to a dedicated endpoint only."
        )
    checkpoints.folder(model, one.checkpoint_id, "deployed_model.checkpoint_id")
    _check_resources(one)
    if one.id and not re.fullmatch(r"[1-9][0-9]{0,9}", one.id):
        raise invalid("deployed_model.id", f"Invalid DeployedModel id {one.id}: 1 to 10 digits, not starting with 0.")
    taken_ids = {found.id for found in endpoint.deployed_models}
    check_split(request.traffic_split, taken_ids | {"0"})
    one.id = one.id or new_id()
    name = f"{endpoint.name}/deployedModels/{one.id}"
    if one.id in taken_ids or world.store.get(KIND, name) is not None:
        raise taken(name)
    one.model, one.model_version_id = model.name, model.version_id
    one.display_name = one.display_name or model.display_name
    check_display_name(one.display_name, "deployed_model.display_name")
    stamp(one.create_time, world.clock())
    with world.store.together():
        metadata = new("DeployModelOperationMetadata", deployment_stage=STAGE_STARTING)
        operation = operations.begin(world, endpoint.name, metadata)
        extra = {
            "phase": STARTING,
            "operation": operation.name,
            "split": dict(request.traffic_split),
            "since": world.clock(),
            "model": model.name,
            "version": model.version_id,
        }
        world.store.add(Row(KIND, name, endpoint.name, one.SerializeToString(), extra, BUSY))
    return operation


def undeploy(world: World, request: Message) -> Message:
    """UndeployModel: it takes no more requests from now on; the operation is over when its programs are gone."""
    endpoint = endpoints.find(world, request.endpoint)
    one = request.deployed_model_id
    left = {found.id for found in endpoint.deployed_models} - {one}
    row = world.store.get(KIND, f"{endpoint.name}/deployedModels/{one}")
    if row is None or row.extra["phase"] != SERVING:
        raise not_found(f"The DeployedModel {one} of {endpoint.name}")
    split = {key: share for key, share in request.traffic_split.items() if key != one or share}
    check_split(split, left)
    if left and not split:
        split = dict(endpoint.traffic_split)
        if split.pop(one, 0):
            raise precondition(
                f"The DeployedModel {one} still has traffic. Give a traffic_split that moves it to others."
            )
    kept = [found for found in endpoint.deployed_models if found.id != one]
    del endpoint.deployed_models[:]
    endpoint.deployed_models.extend(kept)
    endpoint.traffic_split.clear()
    endpoint.traffic_split.update(split)
    with world.store.together():
        endpoints.save(world, endpoint)
        operation = operations.begin(world, endpoint.name, new("UndeployModelOperationMetadata"))
        extra = {**row.extra, "phase": STOPPING, "operation": operation.name}
        world.store.save(Row(KIND, row.name, row.parent, row.body, extra, BUSY))
    return operation


def mutate(world: World, request: Message) -> Message:
    """MutateDeployedModel: replica counts and little else; the operation is over when there are as many as wanted."""
    endpoint = endpoints.find(world, request.endpoint)
    asked = request.deployed_model
    found = next((one for one in endpoint.deployed_models if one.id == asked.id), None)
    row = world.store.get(KIND, f"{endpoint.name}/deployedModels/{asked.id}")
    if found is None or row is None:
        raise not_found(f"The DeployedModel {asked.id} of {endpoint.name}")
    for path in masked_paths(request.update_mask, asked, _MUTABLE, "deployed_model"):
        if path.endswith("machine_spec"):
            raise invalid("update_mask", "The machine of a DeployedModel cannot be changed: deploy it anew.")
        if path == "dedicated_resources":  # its machine and the like are not sent again, and stay
            for name, _ in ((field.name, value) for field, value in asked.dedicated_resources.ListFields()):
                if name != "machine_spec":
                    copy_field(asked, found, f"dedicated_resources.{name}")
        else:
            copy_field(asked, found, path)
    _check_resources(found)
    with world.store.together():
        endpoints.save(world, endpoint)
        operation = operations.begin(world, endpoint.name, new("MutateDeployedModelOperationMetadata"))
        extra = {
            **row.extra,
            "mutations": [*row.extra.get("mutations", ()), operation.name],
            "mutated": world.clock(),
        }
        world.store.save(Row(KIND, row.name, row.parent, found.SerializeToString(), extra, BUSY))
    return operation


def read(row: Row) -> Message:
    """The DeployedModel in a row."""
    return message_class("DeployedModel").FromString(row.body)


METHODS: Mapping[str, Method] = {
    "EndpointService.DeployModel": deploy,
    "EndpointService.UndeployModel": undeploy,
    "EndpointService.MutateDeployedModel": mutate,
}


def _check_resources(one: Message) -> None:
    """Replica counts, with the service's defaults filled in."""
    kind = one.WhichOneof("prediction_resources")
    if kind is None:
        raise required("deployed_model.dedicated_resources")
    if kind == "shared_resources":
        raise invalid("deployed_model.shared_resources", "Deployment resource pools do not exist here.")
    resources = getattr(one, kind)
    place = f"deployed_model.{kind}"
    if kind == "dedicated_resources":
        if resources.min_replica_count < 1:
            raise invalid(f"{place}.min_replica_count", "The minimum replica count must be at least 1.")
        resources.machine_spec.machine_type = resources.machine_spec.machine_type or "n1-standard-2"
    resources.min_replica_count = resources.min_replica_count or 1
    resources.max_replica_count = resources.max_replica_count or resources.min_replica_count
    if resources.max_replica_count < resources.min_replica_count:
        raise invalid(f"{place}.max_replica_count", "The maximum replica count must not be below the minimum.")
