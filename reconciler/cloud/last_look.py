"""The last look before something that answers requests goes: is it still whose the plan took it for?

A listing may be minutes old, and shows an endpoint that was renamed since then under its former name. To read the
endpoint itself is never stale. Whether it should go at all is the planner's decision.
"""

from __future__ import annotations

from reconciler.backends import labels, payloads
from reconciler.cloud.site import Site
from reconciler.core.calls import Call
from reconciler.core.changes import Change
from reconciler.core.resources import Role


def is_still_its(site: Site, change: Change) -> bool:
    """False when the endpoint that would go, or would lose a deployment, has come to another experiment since it was
    listed. True for what has gone meanwhile, and for what is no endpoint's. Raises `core.errors.CloudError`.
    """
    before = change.before
    if before is None or before.address.role not in (Role.ENDPOINT, Role.DEPLOYMENT):
        return True
    name = before.name if before.address.role is Role.ENDPOINT else payloads.text(before.outputs, "endpoint")
    call = Call("EndpointService", "GetEndpoint", {"name": name}, frozenset({"NOT_FOUND"}))
    owner = labels.labels_of(site.vertex.perform(call)).get(labels.EXPERIMENT, "")
    seen = labels.labels_of(before.outputs).get(labels.EXPERIMENT, "")
    return owner in ("", seen, change.address.experiment)
