"""What will follow: the same decision table, run forward over a world in which everything goes well.

`imagine` says how one pass changes the world when all calls succeed and all that is in progress ends well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from reconciler.core.changes import Action, Change
from reconciler.core.resources import RUNS, LiveResource, Phase, Record, Resource, Role, Snapshot
from reconciler.core.table import decide
from reconciler.core.world import World, beside, world_of

HORIZON = 64
"""More passes than any experiment needs; the forecast stops there whatever happens."""
_DAY = 86_400.0
_UNDER_WAY = (Phase.PENDING, Phase.RUNNING)
_PAST = (*RUNS, Role.MODEL)
"""What is history once it is ready; a deploy that has gone well stands, and can be in the way."""
_PASSING = (*_UNDER_WAY, Phase.DELETING)


def forecast(
    world: World,
    changes: tuple[Change, ...],
    decided: Callable[[World], tuple[Change, ...]] = decide,
    horizon: int = HORIZON,
) -> tuple[Change, ...]:
    """The mutating changes of at most `horizon` later passes, in their order, if the world does what is imagined.

    `decided` is a pass over the table as this plan makes it: what it holds now it does not foresee either.
    """
    world = resting(world, changes)
    changes = tuple(change for change in changes if change.address.experiment not in world.still)
    if not changes:
        return ()
    follow: list[Change] = []
    for _ in range(horizon):
        imagined = imagine(world, changes)
        later = decided(imagined)
        if imagined.live == world.live and imagined.records == world.records and later == changes:
            break
        waited = {change.address: change.waits_on for change in changes if change.waits_on}
        follow += [
            replace(change, waits_on=waited.get(change.address, ())) for change in later if change.action.mutates
        ]
        world, changes = imagined, later
    return tuple(follow)


def resting(world: World, changes: tuple[Change, ...]) -> World:
    """The world with the experiments of which nothing more is to be said: of a large fleet little is ever under way.

    An experiment rests when nothing is to be done about it, nothing of it is under way, and it shares no dependency:
    time and claims only matter to what waits, is held or is created.
    """
    awake = {change.address.experiment for change in changes if change.action is not Action.NOOP}
    for address, items in world.live.items():
        if address not in world.desired or any(item.phase in _PASSING for item in items):
            awake.add(address.experiment)
    for address, resource in world.desired.items():
        for needed in resource.depends_on:
            if needed.experiment != address.experiment:
                awake |= {needed.experiment, address.experiment}
    return replace(world, still=frozenset(change.address.experiment for change in changes) - awake)


def imagine(world: World, changes: Collection[Change]) -> World:
    """The world a day later: the changes are done, what was in progress has ended well, claims have lapsed."""
    now = world.now + _DAY
    still = world.still
    live = {
        item.name: _settled(item, world)
        for address, items in world.live.items()
        if address.experiment not in still
        for item in items
    }
    records, verdicts = dict(world.records), dict(world.verdicts)
    for job in (item for items in world.runs.values() for item in items if item.phase in _UNDER_WAY):
        _finish(records, job.stamp, str(job.outputs.get("evaluates") or ""))
    for change in changes:
        if change.verdict and change.action.mutates:
            verdicts[change.verdict.key] = replace(change.verdict, kept=True)
        if change.action is Action.CREATE and change.after and change.after.once:
            _finish(records, change.after.stamp, change.after.evaluates)
        elif change.action is Action.CREATE and change.after:
            born = _born(change.after, now)
            if change.verdict:
                born = replace(born, outputs={"gate": change.verdict.label})
            live[born.name] = born
        elif change.action is Action.UPDATE and change.after and change.before:
            spec, outputs = {**change.before.spec, **change.after.spec}, change.before.outputs
            if change.verdict:
                outputs = {**outputs, "gate": change.verdict.label}
            live[change.before.name] = replace(change.before, spec=spec, outputs=outputs, adopted_from="")
            live |= {item.name: replace(item, adopted_from="") for item in change.along}
        elif change.action in (Action.DELETE, Action.CANCEL) and change.before:
            live.pop(change.before.name, None)
    lifted = _protections(changes)
    left = tuple(
        replace(item, protect=lifted[item.address.experiment])
        if item.address.experiment in lifted and item.address.role in (Role.ENDPOINT, Role.DEPLOYMENT)
        else item
        for item in live.values()
        if item is not None
    )
    seen = Snapshot(left, records, {}, verdicts, barred=world.barred)
    moving = [resource for address, resource in world.desired.items() if address.experiment not in still]
    return beside(world, world_of(moving, seen, now, world.patience))


def _protections(changes: Iterable[Change]) -> dict[str, bool]:
    """By experiment, what an update of an endpoint makes of its protection, which its deployments share."""
    return {
        change.address.experiment: bool(change.after.spec["protect"])
        for change in changes
        if change.action is Action.UPDATE and change.after and "protect" in change.after.spec
    }


def _finish(records: dict[str, Record], stamp: str, evaluates: str = "") -> None:
    """The run has its record, and so has the evaluation that its job carries out as well."""
    known = records.get(stamp)
    if known is None or known.pruned:
        records[stamp] = Record(stamp, imagined=True)
        if evaluates:
            records[evaluates] = Record(evaluates, of=stamp, imagined=True)


def _settled(live: LiveResource, world: World) -> LiveResource | None:
    """How something in progress ends when all goes well; None when it is gone."""
    if live.phase is Phase.DELETING:
        return None
    if live.phase not in _UNDER_WAY:
        return live
    desired = world.desired.get(live.address)
    if desired is not None and desired.stamp == live.stamp:
        live = replace(live, spec={**desired.spec, **desired.born})
    return replace(live, phase=Phase.READY, history=live.address.role in _PAST)


def _born(resource: Resource, now: float) -> LiveResource:
    return LiveResource(
        resource.address,
        resource.kind,
        name=f"{resource.address}@{resource.stamp}",
        stamp=resource.stamp,
        phase=Phase.READY,
        spec={**resource.spec, **resource.born},
        attempt_key=resource.attempt_key,
        since=now,
        created=now,
    )
