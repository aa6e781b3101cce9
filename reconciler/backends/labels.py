"""Whose a live object is, and which labels it gets (`behaviour.md`, section 1).

Labels of other tools are merged, never replaced; provenance labels ride on calls that are made anyway.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.core.calls import Scene
from reconciler.core.resources import SHORT, Address, Json, Resource, Role

PREFIX = "loraform-"
FLEET = "loraform-fleet"
EXPERIMENT = "loraform-experiment"
ROLE = "loraform-role"
IDENTITY = "loraform-identity"
ATTEMPT = "loraform-attempt"
RUNG = "loraform-rung"
SUSPENDED = "loraform-suspended"
PROTECT = "loraform-protect"
COMMIT = "loraform-commit"
PLAN = "loraform-plan"
GATE = "loraform-gate"
TRAINED_BY = "loraform-trained-by"
EVALUATES = "loraform-evaluates"

YES = "true"
ROLES: Mapping[str, Role] = {role.value: role for role in Role}


def labels_of(payload: Mapping[str, Json]) -> dict[str, str]:
    """All labels of an API payload; an absent map is an empty one."""
    labels = payload.get("labels")
    return {key: str(value) for key, value in labels.items()} if isinstance(labels, Mapping) else {}


def owner(payload: Mapping[str, Json], fleet: str) -> Address | None:
    """The address of an object that is ours; None for another fleet's, another tool's, or an unreadable one."""
    labels = labels_of(payload)
    if labels.get(FLEET) != fleet or not labels.get(EXPERIMENT):
        return None
    role = labels.get(ROLE, "")
    return Address(labels[EXPERIMENT], ROLES[role]) if role in ROLES else None


def refusal(payload: Mapping[str, Json], resource: Resource, fleet: str, own: str) -> str:
    """Why a live object cannot be adopted: it is somebody's, or the experiment has one already (`own`, an id)."""
    found = labels_of(payload)
    experiment = resource.address.experiment
    if found.get(FLEET) and found[FLEET] != fleet:
        return f"the {resource.address.role} to adopt belongs to the fleet {found[FLEET]}"
    if found.get(FLEET) and found.get(EXPERIMENT) != experiment:
        return f"the {resource.address.role} to adopt is {found.get(EXPERIMENT)}'s: `moved_from` renames an experiment"
    if own:
        return f"{experiment} has its own {resource.address.role}, {own}: take `adopt` out, or destroy that one first"
    return ""


def foreign(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that are not Loraform's own: the user's, and those of other tools."""
    return {key: value for key, value in labels.items() if not key.startswith(PREFIX)}


def stamped(resource: Resource, scene: Scene, extra: Mapping[str, str]) -> dict[str, str]:
    """The labels of an object about to be written: its body's, provenance, what identifies it, `extra`."""
    wanted = resource.body.get("labels")
    own = {key: str(value) for key, value in wanted.items()} if isinstance(wanted, Mapping) else {}
    identity = {
        FLEET: scene.fleet,
        EXPERIMENT: resource.address.experiment,
        ROLE: str(resource.address.role),
        IDENTITY: resource.stamp,
    }
    attempt = {ATTEMPT: resource.attempt_key[:SHORT]} if resource.attempt_key and resource.once else {}
    protect = {PROTECT: YES} if resource.protect else {}
    return {**own, **scene.labels, **identity, **attempt, **protect, **extra}
