"""One step of each unfinished thing of a kind.

What a step writes is kept as a whole or not at all: a kill between two writes makes no model twice, and leaves none
without its job.
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.emulator.store import BUSY, Row
from reconciler.emulator.world import World


def each(world: World, kind: str, step: Callable[[World, Row], bool]) -> bool:
    """Let every row that is being worked on go on; whether one has changed, or wants to be looked at soon.

    A step that fails does not keep the others from theirs. Raises `ExceptionGroup` with what has failed, at the end.
    """
    soon, errors = False, []
    for row in world.store.working(kind, BUSY):
        try:
            with world.store.together():
                soon |= step(world, row)
        except Exception as error:
            error.add_note(f"at {row.name}")
            errors.append(error)
    if errors:
        raise ExceptionGroup(f"{len(errors)} of kind {kind}", errors)
    return soon
