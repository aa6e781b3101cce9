"""One live thing, found by its resource name or by the name that people gave it, read for an import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reconciler.backends import importing, labels, payloads
from reconciler.cloud.site import Site
from reconciler.core.calls import Call
from reconciler.core.errors import LoraformError, NotFound
from reconciler.core.imported import Carried
from reconciler.core.resources import Json


@dataclass(frozen=True, slots=True)
class Live:
    """What was found: its resource name, its display name, the fleet that owns it (or ""), and what it says."""

    name: str
    title: str
    owner: str
    carried: Carried


_KINDS: Mapping[str, tuple[str, str, str, str]] = {
    "customJobs": ("JobService", "GetCustomJob", "ListCustomJobs", "custom_jobs"),
    "models": ("ModelService", "GetModel", "ListModels", "models"),
    "endpoints": ("EndpointService", "GetEndpoint", "ListEndpoints", "endpoints"),
}
"""Collection -> (service, method for one, method for all, field of the list)."""


def find_live(site: Site, what: str) -> Live:
    """The one thing of that name. Raises LoraformError when there is none, or several have that display name."""
    *_, collection, number = ("", "", *what.rstrip("/").split("/"))
    if collection in _KINDS:
        if what.startswith("projects/") and f"/locations/{site.target.region}/" not in what:
            raise LoraformError(f"{what} is not in {site.target.region}, where the target {site.target.name} is.")
        service, get, _, _ = _KINDS[collection]
        try:
            payload = site.vertex.perform(Call(service, get, {"name": f"{site.target.parent}/{collection}/{number}"}))
        except NotFound as error:
            raise LoraformError(f"There is no {collection}/{number} on {site.target.name}.") from error
        return _live(site, collection, payload)
    if "/" in what:
        raise LoraformError(f"{what} is no custom job, model or endpoint.", f"Known are {', '.join(sorted(_KINDS))}.")
    found = [
        (collection, payload)
        for collection, (service, _, method, items) in _KINDS.items()
        for payload in site.vertex.list(service, method, {"parent": site.target.parent}, items)
        if what in (payloads.text(payload, "display_name"), payloads.last(payloads.text(payload, "name")))
    ]
    if len(found) == 1:
        return _live(site, *found[0])
    if not found:
        raise LoraformError(f"Nothing on {site.target.name} is called `{what}`.", "Give a resource name: endpoints/ID.")
    named = [f"{collection}/{payloads.last(payloads.text(payload, 'name'))}" for collection, payload in found]
    raise LoraformError(f"{len(found)} things are called `{what}`.", f"Name one of them: {', '.join(sorted(named))}")


def _live(site: Site, collection: str, payload: Mapping[str, Json]) -> Live:
    carry: Mapping[str, Callable[[], Carried]] = {
        "customJobs": lambda: importing.from_job(payload),
        "models": lambda: importing.from_model(payload),
        "endpoints": lambda: importing.from_endpoint(payload, _served(site, payload)),
    }
    return Live(
        payloads.text(payload, "name"),
        payloads.text(payload, "display_name"),
        labels.labels_of(payload).get(labels.FLEET, ""),
        carry[collection](),
    )


def _served(site: Site, endpoint: Mapping[str, Json]) -> Mapping[str, Json] | None:
    """The model version with the most traffic on an endpoint; None where there is none, or it is gone."""
    split = payloads.mapping(endpoint, "traffic_split")
    deployed = payloads.messages(endpoint, "deployed_models")
    most = max(deployed, key=lambda item: payloads.integer(split, payloads.text(item, "id")), default=None)
    if most is None:
        return None
    name, version = payloads.text(most, "model").split("@", 1)[0], payloads.text(most, "model_version_id")
    try:
        return site.vertex.perform(Call("ModelService", "GetModel", {"name": f"{name}@{version}" if version else name}))
    except NotFound:
        return None
