"""One pass over the decision table: every address, desired or live, gets its changes."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.core.changes import Change
from reconciler.core.decide import decide_thing
from reconciler.core.graph import ordered, place
from reconciler.core.removal import decide_removals
from reconciler.core.resources import Address
from reconciler.core.runs import decide_run
from reconciler.core.world import World


def decide(world: World, only: Collection[str] | None = None) -> tuple[Change, ...]:
    """The changes of one pass, sorted by experiment and role.

    `only` names the experiments to look at; then nothing is removed on the ground that git does not name it. Of
    what rests nothing is said.
    """
    decided: dict[Address, Change] = {}
    changes: list[Change] = []
    for resource in ordered(item for item in world.desired.values() if item.address.experiment not in world.still):
        rows = (decide_run if resource.once else decide_thing)(resource, world, decided)
        decided[resource.address] = rows[0]
        changes += rows
    for address in world.live:
        if address not in world.desired and only is None:
            changes += decide_removals(address, world)
    wanted = [change for change in changes if only is None or change.address.experiment in only]
    return tuple(sorted(wanted, key=_order))


def _order(change: Change) -> tuple[str, int, bool, str]:
    """Within an address first what is about the desired resource, then its predecessors by name."""
    return *place(change.address), change.after is None, change.before.name if change.before else ""
