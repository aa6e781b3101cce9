"""Who changed a resource, from Cloud Audit Logs (`entries:list`): the last call of the kinds that are asked for."""

from __future__ import annotations

from reconciler.cloud.logs import read_entries
from reconciler.cloud.vertex import Vertex
from reconciler.core.culprits import Caller, Suspect

ACTIVITY = "cloudaudit.googleapis.com%2Factivity"


def last_caller(vertex: Vertex, suspect: Suspect, since: str) -> Caller | None:
    """The newest such call since then (RFC 3339); None when the log has none. Raises `core.errors.CloudError`."""
    methods = " OR ".join(f'protoPayload.methodName:"{method}"' for method in suspect.methods)
    query = (
        f'logName="projects/{vertex.target.project}/logs/{ACTIVITY}" AND '
        f'protoPayload.serviceName="aiplatform.googleapis.com" AND '
        f'protoPayload.resourceName:"{suspect.resource}" AND ({methods}) AND timestamp>="{since}"'
    )
    for entry in read_entries(vertex, query, "timestamp desc"):
        payload = entry.get("protoPayload") or {}
        if str(payload.get("resourceName", "")).endswith(suspect.resource):
            principal = str(
                (payload.get("authenticationInfo") or {}).get("principalEmail") or "somebody without a name"
            )
            method = str(payload.get("methodName", "")).rsplit(".", 1)[-1]
            return Caller(principal, method, str(entry.get("timestamp", "")))
    return None
