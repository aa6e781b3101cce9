"""The decision table for what is ours and live, but no longer in git."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from reconciler.core.changes import Action, Change, Reason
from reconciler.core.decide import wait_or_stuck
from reconciler.core.resources import RUNS, Address, LiveResource, Phase, Role
from reconciler.core.world import World

_AFTER: Mapping[Role, Role] = MappingProxyType({Role.ENDPOINT: Role.DEPLOYMENT})
"""What must be gone before a thing of this role can be deleted."""


def way_out(live: LiveResource) -> str:
    """How a protection ends. A job's labels are fixed for its life, so git cannot lift that one."""
    if live.address.role in RUNS:
        return f"let it finish, or end it with `loraform cancel {live.address.experiment}`"
    return "apply a commit without `protect: true` first"


def decide_removals(address: Address, world: World) -> list[Change]:
    """All changes at an address that git does not name: nothing for history, else cancel, delete, wait or hold."""
    return [change for live in world.live[address] if (change := _decide(live, world)) is not None]


def _decide(live: LiveResource, world: World) -> Change | None:
    if live.history or live.stamp in world.wanted:
        return None
    if live.protect:
        return _change(live, Action.HOLD, Reason.PROTECTED, way_out(live))
    if live.address.role in RUNS:
        running = live.phase in (Phase.PENDING, Phase.RUNNING)
        return _change(live, Action.CANCEL, Reason.REMOVED) if running else None
    if live.phase in (Phase.DELETING, Phase.UNKNOWN):
        return wait_or_stuck(live, world)
    if live.in_use:
        return _change(live, Action.HOLD, Reason.IN_USE, live.in_use)
    return _after_what_stands(live, world) or _change(live, Action.DELETE, Reason.REMOVED)


def _after_what_stands(live: LiveResource, world: World) -> Change | None:
    """A wait for what must be gone before, or a hold where that is held itself; None when nothing stands."""
    role = _AFTER.get(live.address.role)
    if role is None:
        return None
    address = Address(live.address.experiment, role)
    standing = [item for item in world.live.get(address, ()) if not item.history]
    if not standing:
        return None
    going = (_decide(item, world) for item in standing)
    if any(change is not None and change.action is Action.HOLD for change in going):
        change = _change(live, Action.HOLD, Reason.PREREQUISITE, f"{role} is held")
    else:
        change = _change(live, Action.WAIT, Reason.PREREQUISITE, "until its deployments are gone")
    return replace(change, waits_on=(address,))


def _change(live: LiveResource, action: Action, reason: Reason, detail: str = "") -> Change:
    return Change(live.address, live.kind, action, reason, detail, before=live)
