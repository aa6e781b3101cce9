"""What is ours and live but of no use: git does not name it, or it gets no request. And the plan that removes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from reconciler.core.changes import Action, Change, Plan, Reason, plan_id
from reconciler.core.prices import Prices, per_day
from reconciler.core.resources import RUNS, LiveResource, Phase, Role, Snapshot


@dataclass(frozen=True, slots=True)
class Orphan:
    """One live thing, and why nobody needs it."""

    live: LiveResource
    why: str
    per_day: float | None = None
    """What it costs a day as it stands; None where that is not known."""


def orphans(plan: Plan, snapshot: Snapshot) -> tuple[Orphan, ...]:
    """All of them, by experiment, role and name. History (registered models, ended runs) is kept and is none."""
    wanted = {(change.address, change.after.stamp) for change in plan.changes if change.after}
    addresses = {address for address, _ in wanted}
    runs = {stamp for address, stamp in wanted if address.role in RUNS}
    found: list[Orphan] = []
    for live in snapshot.live:
        if live.history or (live.address.role in RUNS and live.stamp in runs):
            continue
        if live.address not in addresses:
            protected = "; protected" if live.protect else ""
            found.append(Orphan(live, f"not in git{protected}"))
        elif (live.address, live.stamp) not in wanted and _idle(live):
            found.append(Orphan(live, "serves 0 %, and git wants another one"))
    order = list(Role)
    return tuple(
        sorted(
            found, key=lambda item: (item.live.address.experiment, order.index(item.live.address.role), item.live.name)
        )
    )


def priced(found: Iterable[Orphan], prices: Prices, region: str) -> tuple[Orphan, ...]:
    """The same with what each costs a day."""
    return tuple(replace(item, per_day=per_day(item.live, prices, region)) for item in found)


def idle(snapshot: Snapshot, known: Collection[Orphan], asked: Collection[str], before: float) -> tuple[Orphan, ...]:
    """Deployments with traffic that got no request: `asked` names the endpoints on which one was logged.

    One that was made after `before` (seconds since the epoch) has not had the time. They are in git: nothing removes
    them but a person.
    """
    counted = {item.live.name for item in known}
    return tuple(
        Orphan(live, "in git, and no request was logged")
        for live in sorted(snapshot.live, key=lambda item: (item.address.experiment, item.name))
        if live.address.role is Role.DEPLOYMENT
        and live.phase is Phase.READY
        and live.spec.get("traffic")
        and live.created < before
        and live.name not in counted
        and str(live.outputs.get("endpoint", "")) not in asked
    )


def removal_plan(plan: Plan) -> Plan:
    """The part of a plan that removes what nobody needs, now and later, with an id of its own."""
    changes = tuple(change for change in plan.changes if _removes(change))
    follow = tuple(change for change in plan.follow if change.reason is Reason.REMOVED)
    return replace(plan, changes=changes, follow=follow, id=plan_id(changes, follow))


def _idle(live: LiveResource) -> bool:
    return live.address.role is Role.DEPLOYMENT and live.phase is Phase.READY and live.spec.get("traffic") == 0


def _removes(change: Change) -> bool:
    if change.reason is Reason.SUPERSEDED:
        return change.action is Action.DELETE
    held = change.action is Action.HOLD and change.after is None
    return change.reason is Reason.REMOVED or held or (change.action is Action.WAIT and change.after is None)
