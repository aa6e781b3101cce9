"""Effects as data: what apply sends, decided by the pure backends and checkable without a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.core.resources import Address, Json


@dataclass(frozen=True, slots=True)
class Call:
    """One API call.

    `service` and `method` are Google's own names (`JobService`, `CreateCustomJob`), `request` is the JSON form of
    the method's request message in snake_case. `tolerate` lists canonical error codes that mean "already so".
    """

    service: str
    method: str
    request: Mapping[str, Json]
    tolerate: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Scene:
    """What a backend needs to know beyond the change itself to write calls.

    `parent` is `projects/P/locations/L`; `labels` are the provenance labels of this apply (commit, plan, pull
    request); `outputs` the outputs of everything that is ready, by address.
    """

    parent: str
    fleet: str
    labels: Mapping[str, str]
    outputs: Mapping[Address, Mapping[str, Json]]
    request: Mapping[str, Json] = field(default_factory=dict)
