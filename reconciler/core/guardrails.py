"""What is too much for one plan: without a person's word, such changes are held rather than carried out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from reconciler.core.changes import Action, Change, Reason
from reconciler.core.resources import Address, Role
from reconciler.core.world import World


@dataclass(frozen=True, slots=True)
class Limits:
    """The policy of the project, and what the person allowed on the command line.

    `deletes` is an absolute number, `delete_share` a fraction of all live experiments; the larger of both counts.
    `roll_share` is the fraction of all deployments that another image may roll. `allow_runs` training starts are a
    person's word for their machines as well.
    """

    new_runs: int = 5
    new_accelerators: int | None = None
    deletes: int = 5
    delete_share: float = 0.2
    roll_share: float = 0.2
    allow_runs: int = 0
    allow_rolls: int = 0
    allow_delete: frozenset[str] = frozenset()


NO_LIMITS = Limits(new_runs=1_000_000, deletes=1_000_000, roll_share=1.0)
"""Looking is not doing: nothing is held back from being seen."""


def guard(changes: Iterable[Change], limits: Limits, world: World) -> tuple[Change, ...]:
    """Hold the starts, rolls and deletions that go beyond the limits; all of them, so that nobody picks for you.

    A superseded deployment is no deletion in this sense: its successor serves already. A roll is held before its
    model version is registered: what is registered was allowed.
    """
    changes = tuple(changes)
    starts = [change for change in changes if _starts(change)]
    losing = {change.address.experiment for change in changes if _removes(change)} - limits.allow_delete
    experiments = {change.address.experiment for change in changes} | world.still
    begun = sum(change.after.runs for change in starts if change.after)
    too_many_starts = begun > max(limits.new_runs, limits.allow_runs)
    taken = sum(_takes(change) for change in changes)
    too_many_taken = limits.new_accelerators is not None and taken > limits.new_accelerators and not limits.allow_runs
    too_many_losing = len(losing) > max(limits.deletes, int(limits.delete_share * len(experiments)))
    rolled = sum(_rolls(change, world) for change in changes)
    serving = sum(address.role is Role.DEPLOYMENT for address in world.desired)
    too_many_rolled = rolled > max(limits.roll_share * serving, limits.allow_rolls)
    guarded = tuple(
        _hold(change, f"{begun} training starts in one plan: --allow-runs {begun}")
        if too_many_starts and _starts(change)
        else _hold(change, f"{taken} accelerators taken in one plan: --allow-runs {max(1, begun)}")
        if too_many_taken and _takes(change)
        else _hold(change, f"another image for {rolled} of {serving} deployments: --allow-rolls {rolled}")
        if too_many_rolled and _rolls(change, world)
        else _hold(change, f"{len(losing)} experiments lose something: --allow-delete {change.address.experiment}")
        if too_many_losing and _removes(change) and change.address.experiment in losing
        else change
        for change in changes
    )
    return _with_what_waits(guarded)


def _with_what_waits(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """Hold, and so on up the chain, what waits for something that was just held: else it would wait for ever."""
    held = {change.address: change for change in changes if change.reason is Reason.GUARD}
    while held:
        caught = {
            change.address: address
            for change in changes
            if change.action is Action.WAIT
            and change.reason is Reason.PREREQUISITE
            and (address := next((one for one in change.waits_on if one in held), None)) is not None
        }
        changes = tuple(
            replace(change, action=Action.HOLD, detail=f"{caught[change.address].role} is held")
            if change.action is Action.WAIT and change.reason is Reason.PREREQUISITE and change.address in caught
            else change
            for change in changes
        )
        held = {change.address: change for change in changes if change.address in caught}
    return changes


def _starts(change: Change) -> bool:
    return change.action is Action.CREATE and change.address.role is Role.TRAINING


def _takes(change: Change) -> int:
    return change.after.accelerators if change.action is Action.CREATE and change.after else 0


def _rolls(change: Change, world: World) -> bool:
    """A model version in another image, for an experiment that serves."""
    if change.action is not Action.CREATE or change.address.role is not Role.MODEL:
        return False
    if not any(item.path.startswith("images.") for item in change.fields):
        return False
    return any(not live.history for live in world.live.get(Address(change.address.experiment, Role.DEPLOYMENT), ()))


def _removes(change: Change) -> bool:
    return change.action in (Action.DELETE, Action.CANCEL) and change.reason is Reason.REMOVED


def _hold(change: Change, word: str) -> Change:
    return replace(change, action=Action.HOLD, reason=Reason.GUARD, detail=word)
