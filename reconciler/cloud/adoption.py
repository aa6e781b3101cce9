"""What git wants adopted (`adopt:` in a manifest) carries no label of ours yet, so no listing shows it: ask by name.

Whether it may be adopted is the backend's answer; nothing is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor

from reconciler.backends import endpoint, model, payloads
from reconciler.cloud.vertex import Vertex
from reconciler.core.calls import Call
from reconciler.core.errors import NotFound
from reconciler.core.resources import Address, Json, LiveResource, Resource, Role

_GET = {
    Role.ENDPOINT: ("EndpointService", "GetEndpoint", "endpoints", endpoint.adoptable),
    Role.MODEL: ("ModelService", "GetModel", "models", model.adoptable),
}


def adoptable(
    vertex: Vertex, live: Iterable[LiveResource], wanted: Mapping[Address, Resource], pool: Executor
) -> tuple[list[LiveResource], dict[Address, str]]:
    """The live things that git wants adopted and that are nobody's, and why others cannot be, by address.

    What is gone is no obstacle: then there is nothing to adopt, and the experiment gets its own.
    """
    asked = [resource for resource in wanted.values() if resource.adopts]
    if not asked:
        return [], {}
    own: dict[Address, set[str]] = {}
    for item in live:
        own.setdefault(item.address, set()).add(payloads.last(item.name))
    missing = [item for item in asked if payloads.last(item.adopts) not in own.get(item.address, set())]
    found: list[LiveResource] = []
    barred: dict[Address, str] = {}
    for resource, payload in zip(missing, pool.map(lambda item: _get(vertex, item), missing), strict=True):
        if payload is None:
            continue
        others = own.get(resource.address, set())
        answer = _GET[resource.address.role][3](payload, resource, vertex.target.fleet, min(others, default=""))
        if isinstance(answer, str):
            barred[resource.address] = answer
        else:
            found.append(answer)
    return found, barred


def _get(vertex: Vertex, resource: Resource) -> Mapping[str, Json] | None:
    service, method, collection, _ = _GET[resource.address.role]
    name = f"{vertex.target.parent}/{collection}/{payloads.last(resource.adopts)}"
    try:
        return vertex.perform(Call(service, method, {"name": name}))
    except NotFound:
        return None
