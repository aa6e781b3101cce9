"""What a plan consists of: changes with an action and a reason. A reason explains; it never decides."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.core.errors import Diagnostic
from reconciler.core.identity import canonical
from reconciler.core.impact import Impact
from reconciler.core.resources import Address, Failure, Json, LiveResource, Resource
from reconciler.core.verdict import Verdict


class Action(StrEnum):
    """What apply does about one address in this pass."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    CANCEL = "cancel"
    WAIT = "wait"
    HOLD = "hold"
    NOOP = "noop"

    @property
    def mutates(self) -> bool:
        """True for the four actions that call the API."""
        return self in (Action.CREATE, Action.UPDATE, Action.DELETE, Action.CANCEL)


class Reason(StrEnum):
    """Why the planner chose the action: one word per row of the decision table."""

    ABSENT = "absent"
    IN_SYNC = "in sync"
    REUSED = "reused"
    SETTINGS_CHANGED = "settings changed"
    DRIFTED = "drifted"
    IDENTITY_CHANGED = "identity changed"
    ADOPTED = "adopted"
    RETRY = "retry"
    ATTEMPT_CHANGED = "attempt changed"
    PRUNED = "artifact was pruned"
    SUPERSEDED = "superseded"
    REMOVED = "removed from git"
    IN_PROGRESS = "in progress"
    PREREQUISITE = "prerequisite"
    CLAIMED = "claimed"
    SAME_RUN = "same run"
    BACKOFF = "backoff"
    FAILED = "failed"
    ARTIFACT_MISSING = "artifact missing"
    GATE = "gate"
    JUDGED = "judged"
    STEP_HELD = "step held"
    RECREATED = "recreated"
    EXCLUSIVE = "cannot stand beside the old one"
    NAME_TAKEN = "name taken"
    BARRED = "cannot be adopted"
    IN_USE = "in use"
    SUSPENDED = "suspended"
    PROTECTED = "protected"
    STUCK = "stuck"
    GUARD = "guard"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field before and after, and what the difference brings about (a word of `schemas.effects.Effect`)."""

    path: str
    before: Json
    after: Json
    effect: str


@dataclass(frozen=True, slots=True)
class Change:
    """One decision about one address.

    `after` is the desired resource (None when git does not want it), `before` the live object that is acted on
    (None for a first create), `replaces` the objects of other identities that a create will make obsolete.
    """

    address: Address
    kind: str
    action: Action
    reason: Reason
    detail: str = ""
    before: LiveResource | None = None
    after: Resource | None = None
    replaces: tuple[LiveResource, ...] = ()
    fields: tuple[FieldChange, ...] = ()
    waits_on: tuple[Address, ...] = ()
    along: tuple[LiveResource, ...] = ()
    """Further versions whose labels an update writes anew with those of `before`."""
    stamps: Mapping[str, str] = field(default_factory=dict)
    """Labels that record a verdict with the object that this change writes."""
    verdict: Verdict | None = None
    """Of a model: what its gate says, to be kept before anything else is written. Of a deployment: what let it pass."""
    rung: int = 0
    """The rung of its ladder that a run is created on."""

    @property
    def failure(self) -> Failure | None:
        """The failure that this decision is about, if it is about one."""
        about = self.reason in (Reason.FAILED, Reason.BACKOFF, Reason.RETRY)
        return self.before.failure if about and self.before else None


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole answer of one pass: what is done now, and what will follow if the world does as imagined."""

    target: str
    changes: tuple[Change, ...]
    follow: tuple[Change, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    impacts: tuple[Impact, ...] = ()
    """What a person will feel of it, by experiment; those of which nothing is changed have none."""
    id: str = ""
    """The first 12 hex digits of the hash of what is done now and later; see `plan_id`."""

    @property
    def now(self) -> tuple[Change, ...]:
        """The changes that call the API in this pass."""
        return tuple(change for change in self.changes if change.action.mutates)

    @property
    def blocked(self) -> tuple[Change, ...]:
        """The changes that wait for a person."""
        return tuple(change for change in self.changes if change.action is Action.HOLD)


def plan_id(changes: tuple[Change, ...], follow: tuple[Change, ...], about: Collection[str] | None = None) -> str:
    """Hash (address, action, identity before -> after, fields) of everything that mutates, now or later.

    Phases, waits and times are left out: a job that ticks on does not make a plan stale. Nor does what becomes of the
    experiments that it is not `about` (None: it is about all).
    """
    rows = sorted(
        canonical(
            [
                str(change.address),
                str(change.action),
                change.before.stamp if change.before else "",
                change.after.stamp if change.after else "",
                [[item.path, item.before, item.after] for item in change.fields],
            ]
        )
        for change in (*changes, *follow)
        if change.action.mutates and (about is None or change.address.experiment in about)
    )
    return hashlib.sha256("\n".join(rows).encode("utf-8", "surrogatepass")).hexdigest()[:12]
