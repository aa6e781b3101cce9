"""Who brought a difference about: which call of the API would do such a thing, and to which resource.

What stands there now came from the last such call: had Loraform's been later, git's value would stand there.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.drift import Difference, Verdict
from reconciler.core.resources import Role


@dataclass(frozen=True, slots=True)
class Suspect:
    """The calls to look for: any of `methods` (Google's names) on a resource (`endpoints/ID`, `models/ID`)."""

    resource: str
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who made a call, which one, and when (RFC 3339)."""

    principal: str
    method: str
    at: str


def suspect(difference: Difference, named: str) -> Suspect | None:
    """What to look for in the audit log; None for what nobody did (pending). `named` is the endpoint's id by rule."""
    if difference.verdict is Verdict.PENDING:
        return None
    role = difference.address.role
    name = difference.name.partition("#")[0].partition("@")[0]
    if role is Role.MODEL:
        found = name.rsplit("/", 1)[-1] or named
        return Suspect(f"models/{found}", ("UpdateModel",) if name else ("DeleteModel", "DeleteModelVersion"))
    resource = f"endpoints/{name.rsplit('/', 1)[-1] or named}"
    if difference.verdict is Verdict.MISSING:
        return Suspect(resource, ("DeleteEndpoint",) if role is Role.ENDPOINT else ("UndeployModel", "DeleteEndpoint"))
    moved = any(field.path == "traffic" for field in difference.fields)
    scaled = any(field.path != "traffic" for field in difference.fields)
    if role is Role.ENDPOINT:
        return Suspect(resource, ("UpdateEndpoint",))
    methods = (
        *(["UpdateEndpoint", "DeployModel", "UndeployModel"] if moved else []),
        *(["MutateDeployedModel"] if scaled else []),
    )
    return Suspect(resource, methods)
