"""EndpointService, the endpoints themselves: create, get, list, update, delete. Their deployed models: deployments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from reconciler.emulator import operations
from reconciler.emulator.listing import Shown, page
from reconciler.emulator.store import Row
from reconciler.emulator.wire.checks import check_display_name, check_labels, check_split, copy_field, masked_paths
from reconciler.emulator.wire.codec import Message, message_class, new, to_json
from reconciler.emulator.wire.errors import invalid, not_found, precondition, taken
from reconciler.emulator.wire.etags import check_etag, etag
from reconciler.emulator.wire.names import canonical, last, location_of, new_id, project_of
from reconciler.emulator.world import Method, World, stamp

KIND = "endpoint"
_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[1-9][0-9]{0,8}")
_FIELDS = {"endpoint", "name", "display_name", "labels", "base_model_name", "create_time", "update_time"}
_ORDERS = {"display_name", "create_time", "update_time"}
_UPDATABLE = {
    "display_name", "description", "labels", "traffic_split", "predict_request_response_logging_config",
    "client_connection_config", "private_service_connect_config", "gen_ai_advanced_features_config",
}  # fmt: skip


def create(world: World, request: Message) -> Message:
    """CreateEndpoint, with an id of the caller's or a generated one."""
    endpoint = request.endpoint
    check_display_name(endpoint.display_name, "endpoint.display_name")
    check_labels(endpoint.labels, "endpoint.labels")
    check_split(endpoint.traffic_split, ())
    if request.endpoint_id and not _ID.fullmatch(request.endpoint_id):
        raise invalid(
            "endpoint_id",
            f"Invalid endpoint id {request.endpoint_id}: a letter and then up to 62 of [a-z0-9-], not ending with a "
            "hyphen; or up to 9 digits without a leading zero.",
        )
    parent = canonical(request.parent)
    for field in ("deployed_models", "create_time", "update_time", "dedicated_endpoint_dns", "etag"):
        endpoint.ClearField(field)
    endpoint.name = f"{parent}/endpoints/{request.endpoint_id or new_id()}"
    stamp(endpoint.create_time, world.clock())
    endpoint.update_time.CopyFrom(endpoint.create_time)
    _address(world, endpoint)
    endpoint.etag = etag(endpoint)
    try:
        world.store.add(Row(KIND, endpoint.name, parent, endpoint.SerializeToString(), {}))
    except KeyError:
        raise taken(endpoint.name) from None
    return operations.finished(world, endpoint.name, endpoint, new("CreateEndpointOperationMetadata"))


def get(world: World, request: Message) -> Message:
    """GetEndpoint."""
    return _shown(world, find(world, request.name))


def find(world: World, name: str) -> Message:
    """An endpoint by its full name. Raises NOT_FOUND."""
    row = world.store.get(KIND, canonical(name))
    if row is None:
        raise not_found(f"The Endpoint {name}")
    return _read(row)


def save(world: World, endpoint: Message) -> None:
    """Store an endpoint with its update time and etag set."""
    stamp(endpoint.update_time, world.clock())
    endpoint.etag = etag(endpoint)
    world.store.save(Row(KIND, endpoint.name, "", endpoint.SerializeToString(), {}))


def list_(world: World, request: Message) -> Message:
    """ListEndpoints, newest first unless ordered."""
    parent = canonical(request.parent)
    found, token = page(
        lambda before: world.store.children(KIND, parent, before=before),
        lambda row: _shown(world, _read(row)),
        request,
        fields=_FIELDS,
        orders=_ORDERS,
        view=lambda endpoint: Shown(endpoint, _VIEW),
        shown="Endpoint",
    )
    return new("ListEndpointsResponse", endpoints=found, next_page_token=token)


def update(world: World, request: Message) -> Message:
    """UpdateEndpoint: only what the mask names."""
    return _update(world, request.endpoint, masked_paths(request.update_mask, request.endpoint, _UPDATABLE, "endpoint"))


def update_long_running(world: World, request: Message) -> Message:
    """UpdateEndpointLongRunning: every updatable field that is set, in an operation."""
    asked = request.endpoint
    paths = [field.name for field, _ in asked.ListFields() if field.name in _UPDATABLE]
    endpoint = _update(world, asked, paths)
    return operations.finished(world, endpoint.name, endpoint, new("UpdateEndpointOperationMetadata"))


def delete(world: World, request: Message) -> Message:
    """DeleteEndpoint: only without deployed models."""
    endpoint = find(world, request.name)
    starting = [row for row in world.store.children("deployment", endpoint.name) if row.extra["phase"] == "starting"]
    if endpoint.deployed_models or starting:
        ids = [one.id for one in endpoint.deployed_models] + [last(row.name) for row in starting]
        raise precondition(
            f"The Endpoint {endpoint.name} has deployed models ({', '.join(ids)}). Undeploy them before deleting it."
        )
    world.store.drop(KIND, endpoint.name)
    return operations.finished(world, endpoint.name, new("google.protobuf.Empty"), new("DeleteOperationMetadata"))


METHODS: Mapping[str, Method] = {
    "EndpointService.CreateEndpoint": create,
    "EndpointService.GetEndpoint": get,
    "EndpointService.ListEndpoints": list_,
    "EndpointService.UpdateEndpoint": update,
    "EndpointService.UpdateEndpointLongRunning": update_long_running,
    "EndpointService.DeleteEndpoint": delete,
}


def _read(row: Row) -> Message:
    return message_class("Endpoint").FromString(row.body)


def _shown(world: World, endpoint: Message) -> Message:
    """With what is only known of it now: where it answers, and how many replicas do."""
    _address(world, endpoint)
    for one in endpoint.deployed_models:
        row = world.store.get("deployment", f"{endpoint.name}/deployedModels/{one.id}")
        if row is not None and "available" in row.extra:
            one.status.available_replica_count = row.extra["available"]
            one.status.message = row.extra["told"]
            stamp(one.status.last_update_time, row.extra["noted"])
    return endpoint


def _update(world: World, asked: Message, paths: list[str]) -> Message:
    endpoint = find(world, asked.name)
    check_etag(asked.etag, endpoint.etag, endpoint.name)
    for path in paths:
        copy_field(asked, endpoint, path)
    check_display_name(endpoint.display_name, "endpoint.display_name")
    check_labels(endpoint.labels, "endpoint.labels")
    check_split(endpoint.traffic_split, {one.id for one in endpoint.deployed_models})
    _address(world, endpoint)
    save(world, endpoint)
    return endpoint


def _address(world: World, endpoint: Message) -> None:
    """The address of its own that a dedicated endpoint gets: one that answers where there is a TLS port."""
    endpoint.dedicated_endpoint_dns = (
        world.settings.tls_address
        or f"{last(endpoint.name)}.{location_of(endpoint.name)}-{project_of(endpoint.name)}.prediction.vertexai.goog"
        if endpoint.dedicated_endpoint_enabled
        else ""
    )


_VIEW: Mapping[str, Callable[[Message], Any]] = {
    "name": lambda endpoint: endpoint.name,
    "endpoint": lambda endpoint: last(endpoint.name),
    "displayName": lambda endpoint: endpoint.display_name,
    "labels": lambda endpoint: dict(endpoint.labels),
    "createTime": lambda endpoint: to_json(endpoint.create_time),
    "updateTime": lambda endpoint: to_json(endpoint.update_time),
}
"""What a filter may ask for."""
