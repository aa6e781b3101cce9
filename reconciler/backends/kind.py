"""What a backend is: five pure functions between what git and the API say and what the planner understands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.core.calls import Call, Scene
from reconciler.core.changes import Change
from reconciler.core.errors import LoraformError
from reconciler.core.resources import Json, LiveResource, Resource

Payload: TypeAlias = Mapping[str, Json]
"""An API resource as JSON with proto field names (snake_case); enums by name or number, int64 as text or number."""

Live: TypeAlias = Callable[[Payload, str], tuple[LiveResource, ...]]
"""(payload, fleet) -> what in it is ours; nothing for what belongs to nobody or to another fleet."""

Calls: TypeAlias = Callable[[Change, Scene], tuple[Call, ...]]
"""(change, scene) -> the calls that carry it out, in order. LoraformError when a prerequisite is not ready."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of Vertex AI resource.

    `live` reads a payload of this kind. An endpoint's payload also holds its deployed models, so the endpoint's
    `live` returns its deployments as well, and the deployment's `live` reads the same payload for them alone.
    """

    name: str
    live: Live
    create: Calls
    update: Calls
    delete: Calls
    cancel: Calls


def impossible(kind: str, verb: str) -> Calls:
    """The function of a verb that a kind does not have: planning it is a mistake of ours, and loud."""

    def refuse(change: Change, scene: Scene) -> tuple[Call, ...]:
        raise LoraformError(f"{change.address}: a {kind} cannot be {verb}")

    return refuse


def wanted(change: Change) -> Resource:
    """The desired side of a change that must have one."""
    if change.after is None:
        raise LoraformError(f"{change.address}: {change.action} without a desired resource")
    return change.after


def existing(change: Change) -> LiveResource:
    """The live side of a change that must have one."""
    if change.before is None:
        raise LoraformError(f"{change.address}: {change.action} of something that does not exist")
    return change.before
