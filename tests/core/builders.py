"""Values with good defaults for tests of the core: one experiment `bot` with all four roles."""

from __future__ import annotations

from typing import Any

from reconciler.core.changes import Change, Plan
from reconciler.core.identity import identity_of
from reconciler.core.plan import make_plan
from reconciler.core.resources import (
    Address,
    Cause,
    Claim,
    Declared,
    Failure,
    Gate,
    LiveResource,
    Phase,
    Record,
    Resource,
    Role,
    Snapshot,
)
from reconciler.core.verdict import Bound
from schemas.gate import parse

NOW = 1_000_000.0
HOUR = 3600.0


def at(role: Role, experiment: str = "bot") -> Address:
    return Address(experiment, role)


def identity(role: Role, version: int = 1) -> str:
    return identity_of(str(role), {"version": version})


def training(experiment: str = "bot", version: int = 1, **overrides: Any) -> Resource:
    values: dict[str, Any] = {
        "address": at(Role.TRAINING, experiment),
        "kind": "custom_job",
        "identity": identity(Role.TRAINING, version),
        "attempt_key": "first",
        "fields": {"adapter.r": Declared(8 * version, "retrain")},
        "once": True,
    }
    return Resource(**(values | overrides))


def model(experiment: str = "bot", version: int = 1, **overrides: Any) -> Resource:
    values: dict[str, Any] = {
        "address": at(Role.MODEL, experiment),
        "kind": "model",
        "identity": identity(Role.MODEL, version),
        "depends_on": (at(Role.TRAINING, experiment),),
    }
    return Resource(**(values | overrides))


def endpoint(experiment: str = "bot", version: int = 1, **overrides: Any) -> Resource:
    values: dict[str, Any] = {
        "address": at(Role.ENDPOINT, experiment),
        "kind": "endpoint",
        "identity": identity(Role.ENDPOINT, version),
        "spec": {"labels": {"team": "a"}},
        "exclusive": True,
        "collides": True,
    }
    return Resource(**(values | overrides))


def deployment(experiment: str = "bot", version: int = 1, **overrides: Any) -> Resource:
    values: dict[str, Any] = {
        "address": at(Role.DEPLOYMENT, experiment),
        "kind": "deployment",
        "identity": identity(Role.DEPLOYMENT, version),
        "attempt_key": "first",
        "spec": {"max_replica_count": 1, "traffic": 100},
        "fields": {"serving.max_replica_count": Declared(1, "in_place")},
        "born": {"traffic": 0},
        "depends_on": (at(Role.MODEL, experiment), at(Role.ENDPOINT, experiment)),
        "collides": True,
    }
    return Resource(**(values | overrides))


def gate(*expressions: str, experiment: str = "bot") -> Gate:
    return Gate(tuple(map(bound, expressions)), at(Role.TRAINING, experiment))


def bound(text: str, confidence: float | None = None) -> Bound:
    read = parse(text)
    assert read is not None
    return Bound(text, *read, confidence)


def fleet(experiment: str = "bot", version: int = 1) -> tuple[Resource, ...]:
    return (
        training(experiment, version),
        model(experiment, version),
        endpoint(experiment),
        deployment(experiment, version),
    )


def live(resource: Resource, phase: Phase = Phase.READY, **overrides: Any) -> LiveResource:
    values: dict[str, Any] = {
        "address": resource.address,
        "kind": resource.kind,
        "name": f"{resource.address}#{resource.stamp}",
        "stamp": resource.stamp,
        "phase": phase,
        "spec": dict(resource.spec),
        "attempt_key": resource.attempt_key,
        "since": NOW - HOUR,
        "created": NOW - HOUR,
        "failure": Failure(Cause.ERROR, "it broke") if phase is Phase.FAILED else None,
        "history": resource.address.role is Role.MODEL or (resource.once and phase in (Phase.READY, Phase.FAILED)),
    }
    return LiveResource(**(values | overrides))


def record(resource: Resource, **overrides: Any) -> Record:
    values: dict[str, Any] = {"metrics": {"eval_loss": 1.0}, "eval_digest": "rows", "eval_rows": 9}
    return Record(**({"stamp": resource.stamp} | values | overrides))


def claim(resource: Resource, age: float = 10.0, **overrides: Any) -> Claim:
    values: dict[str, Any] = {"stamp": resource.stamp, "address": resource.address, "at": NOW - age, "by": "ann@host"}
    return Claim(**(values | overrides))


def snapshot(*things: LiveResource, records: tuple[Record, ...] = (), claims: tuple[Claim, ...] = ()) -> Snapshot:
    return Snapshot(things, {item.stamp: item for item in records}, {item.key: item for item in claims})


def converged(experiment: str = "bot", version: int = 1) -> Snapshot:
    resources = fleet(experiment, version)
    return snapshot(*(live(resource) for resource in resources), records=(record(resources[0]),))


def plan(desired: tuple[Resource, ...], seen: Snapshot = Snapshot(), **settings: Any) -> Plan:  # noqa: B008 (frozen)
    return make_plan(desired, seen, **({"now": NOW, "target": "test"} | settings))


def the(made: Plan, role: Role, experiment: str = "bot") -> Change:
    """The change about the desired resource at an address."""
    return next(
        change for change in made.changes if change.address == at(role, experiment) and change.after is not None
    )
