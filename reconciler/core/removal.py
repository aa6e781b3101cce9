"""The decision table for what is ours and live, but no longer in git."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from reconciler.core.changes import Action, Change, Reason
from reconciler.core.decide import wait_or_stuck
from reconciler.core.resources import Address, LiveResource, Phase, Role
from reconciler.core.world import World

_AFTER: Mapping[Role, Role] = MappingProxyType({Role.ENDPOINT: Role.DEPLOYMENT})
"""What must be gone before a thing of this role can be deleted."""


def way_out(live: LiveResource) -> str:
    """How a protection ends. A job's labels are fixed for its life, so git cannot lift that one."""
    if live.address.role is Role.TRAINING:
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
    if live.address.role is Role.TRAINING:
        running = live.phase in (Phase.PENDING, Phase.RUNNING)
        return _change(live, Action.CANCEL, Reason.REMOVED) if running else None
    if live.phase in (Phase.DELETING, Phase.UNKNOWN):
        return wait_or_stuck(live, world)
    if live.in_use:
        return _change(live, Action.HOLD, Reason.IN_USE, live.in_use)
    blockers = _standing(live, world)
    if blockers:
        change = _change(live, Action.WAIT, Reason.PREREQUISITE, "until its deployments are gone")
        return replace(change, waits_on=blockers)
    return _change(live, Action.DELETE, Reason.REMOVED)


def _standing(live: LiveResource, world: World) -> tuple[Address, ...]:
    role = _AFTER.get(live.address.role)
    if role is None:
        return ()
    address = Address(live.address.experiment, role)
    return (address,) if any(not item.history for item in world.live.get(address, ())) else ()


def _change(live: LiveResource, action: Action, reason: Reason, detail: str = "") -> Change:
    return Change(live.address, live.kind, action, reason, detail, before=live)
