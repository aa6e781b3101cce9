"""Where live things differ from git: changed by somebody else (drifted), or not brought about yet (pending).

The claim behind a thing keeps what was declared when it was last written. A live value that is still that one was
touched by nobody; any other came from outside git.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.changes import Action, Change, FieldChange, Plan, Reason
from reconciler.core.identity import canonical
from reconciler.core.moves import NAME
from reconciler.core.resources import RUNS, Address, Json, Snapshot


class Verdict(StrEnum):
    """What a difference is. The first two came from outside git."""

    DRIFTED = "drifted"
    MISSING = "missing"
    """It was made once and is gone, and git wants it still."""
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as git says. In `fields`, before is what is live and after what git says."""

    address: Address
    verdict: Verdict
    name: str = ""
    """The API's name of the live thing; empty where there is none."""
    why: str = ""
    fields: tuple[FieldChange, ...] = ()


def differences(plan: Plan, snapshot: Snapshot, *, settled: float) -> tuple[Difference, ...]:
    """All differences in the order of the plan. What waits for a person is neither drift nor pending.

    `settled` is in seconds since the epoch: what was claimed later may still be on its way.
    """
    return tuple(found for change in plan.changes for found in _of_change(change, snapshot, settled))


def drifted(found: tuple[Difference, ...]) -> bool:
    """True when somebody else than git changed something."""
    return any(item.verdict is not Verdict.PENDING for item in found)


def _of_change(change: Change, snapshot: Snapshot, settled: float) -> list[Difference]:
    if change.action in (Action.NOOP, Action.HOLD):
        return []
    name = change.before.name if change.before else ""
    if change.action is Action.UPDATE:
        by: dict[Verdict, list[FieldChange]] = {verdict: [] for verdict in Verdict}
        for item in change.fields:
            by[_verdict(change, item, snapshot)].append(item)
        return [
            Difference(change.address, verdict, name, fields=tuple(items)) for verdict, items in by.items() if items
        ]
    if _vanished(change, snapshot, settled):
        return [Difference(change.address, Verdict.MISSING, why="its creation is on record, and it is not there")]
    return [Difference(change.address, Verdict.PENDING, name, f"{change.action}: {change.reason}", change.fields)]


def _vanished(change: Change, snapshot: Snapshot, settled: float) -> bool:
    """A thing whose creation was claimed a while ago, and that does not exist. Runs leave records instead."""
    claim = snapshot.claims.get(change.after.claim_key) if change.after else None
    fresh = change.action is Action.CREATE and change.reason in (Reason.ABSENT, Reason.IDENTITY_CHANGED)
    return fresh and claim is not None and claim.at < settled and change.address.role not in RUNS


def _verdict(change: Change, item: FieldChange, snapshot: Snapshot) -> Verdict:
    if item.path == NAME:
        return Verdict.PENDING
    if item.path == "traffic":
        rolling = [live for live in snapshot.live if live.address == change.address and not live.history]
        return Verdict.PENDING if len(rolling) > 1 or not item.before else Verdict.DRIFTED
    declared = change.before.declared if change.before else {}
    field = change.after.fields.get(item.path) if change.after else None
    was = declared.get(item.path, field.default if field else item.after)
    return Verdict.PENDING if _holds(was, item.before) else Verdict.DRIFTED


def _holds(declared: Json, found: Json) -> bool:
    """Of a mapping only what was declared counts: labels of other tools are not ours to judge."""
    if isinstance(found, Mapping) and (declared is None or isinstance(declared, Mapping)):
        return all(
            key in found and canonical(found[key]) == canonical(value) for key, value in (declared or {}).items()
        )
    return canonical(declared) == canonical(found)
