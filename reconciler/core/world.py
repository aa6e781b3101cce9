"""Desired and live side by side, indexed for the planner, with the few durations that its decisions need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.core.graph import place
from reconciler.core.resources import RUNS, Address, Claim, LiveResource, Phase, Record, Resource, Role, Snapshot
from reconciler.core.verdict import Key, Scores, Verdict

_NAMED = (Role.MODEL, Role.ENDPOINT)
"""What has an id that its experiment's name is part of."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the planner waits before it believes something else. Seconds, except `tries`."""

    claim: float = 600.0
    """A younger claim without a visible object means that somebody is creating it right now."""
    artifact: float = 600.0
    """A succeeded job without a run record after this long has lost its artifact."""
    stuck: float = 3600.0
    """A thing that is deleting or unknown for longer than this wants a person."""
    tries: int = 5
    """How often a transient failure is tried again under one attempt key."""
    backoff: float = 60.0
    """The wait after the first transient failure; it doubles with each further one."""


@dataclass(frozen=True, slots=True)
class World:
    """One moment: what should be, what is, and what time it is (`now`, seconds since the epoch)."""

    desired: Mapping[Address, Resource]
    live: Mapping[Address, tuple[LiveResource, ...]]
    runs: Mapping[str, tuple[LiveResource, ...]]
    """Jobs of trainings and evaluations by stamp, whatever experiment they were started for, newest first."""
    records: Mapping[str, Record]
    claims: Mapping[str, Claim]
    wanted: Mapping[str, tuple[Address, ...]]
    """The addresses of the runs that git wants, by stamp: equal experiments share one run."""
    gated: Mapping[Address, Resource]
    """The gated deployment of a model, by the model's address."""
    taken: Mapping[tuple[Role, str], LiveResource]
    """Endpoints and models whose id is not that of their experiment, since it was renamed or they were adopted."""
    now: float
    patience: Patience
    verdicts: Mapping[Key, Verdict]
    scores: Mapping[str, Scores]
    """By stamp of the run."""
    barred: Mapping[Address, str]
    """Why something that git wants adopted cannot be."""
    still: frozenset[str] = frozenset()
    """The experiments that need no further look: nothing is to be done about them (`forecast.resting`)."""

    def ready(self, resource: Resource) -> LiveResource | None:
        """The live object that is this very resource and ready, or None."""
        return next((live for live in self.same(resource) if live.phase is Phase.READY), None)

    def same(self, resource: Resource) -> tuple[LiveResource, ...]:
        """The live objects at the address with the desired identity, newest first."""
        found, stamp = self.live.get(resource.address, ()), resource.stamp
        return found if _all_of(found, stamp) else tuple([live for live in found if live.stamp == stamp])

    def measured(self, run: str, digest: str) -> Record | None:
        """What was measured on the model of a run (a stamp), if it can be on the rows that `digest` names.

        Of several evaluations on them the newest; else what the run's own record says, whatever its rows.
        """
        known = self.records.get(run)
        if known is not None and digest and known.eval_digest != digest:
            on_them = [item for item in self.records.values() if item.of == run and item.eval_digest == digest]
            return max(on_them, key=lambda item: (item.since, item.stamp), default=known)
        return known

    def others(self, resource: Resource) -> tuple[LiveResource, ...]:
        """The live objects at the address with other identities, newest first."""
        found, stamp = self.live.get(resource.address, ()), resource.stamp
        return () if _all_of(found, stamp) else tuple([live for live in found if live.stamp != stamp])


def world_of(desired: Iterable[Resource], snapshot: Snapshot, now: float, patience: Patience) -> World:
    """Index one moment. The result does not depend on the order of what goes in."""
    by_address = {resource.address: resource for resource in desired}
    live: dict[Address, list[LiveResource]] = defaultdict(list)
    runs: dict[str, list[LiveResource]] = defaultdict(list)
    taken: dict[tuple[Role, str], LiveResource] = {}
    for item in sorted(snapshot.live, key=lambda item: (*place(item.address), -item.created, item.name)):
        live[item.address].append(item)
        if item.address.role in RUNS:
            runs[item.stamp].append(item)
        elif item.address.role in _NAMED:
            wanted_here, last = by_address.get(item.address), _last(item.name)
            if wanted_here is None or wanted_here.named != last:
                taken.setdefault((item.address.role, last), item)
    wanted: dict[str, list[Address]] = defaultdict(list)
    for resource in by_address.values():
        if resource.once:
            wanted[resource.stamp].append(resource.address)
    return World(
        desired=by_address,
        live={address: tuple(items) for address, items in live.items()},
        runs={stamp: tuple(sorted(items, key=_newest_first)) for stamp, items in runs.items()},
        records=snapshot.records,
        claims=snapshot.claims,
        wanted={stamp: tuple(sorted(addresses)) for stamp, addresses in wanted.items()},
        gated={
            address: one
            for one in by_address.values()
            if one.gate
            for address in one.depends_on
            if address.role is Role.MODEL
        },
        taken=taken,
        barred=snapshot.barred,
        now=now,
        patience=patience,
        verdicts=snapshot.verdicts,
        scores=snapshot.scores,
    )


def beside(world: World, moved: World) -> World:
    """The world in which what rests is as it was, and all else as in `moved`."""
    still = world.still
    return replace(
        moved,
        desired=world.desired,
        live={**{at: items for at, items in world.live.items() if at.experiment in still}, **moved.live},
        wanted=world.wanted,
        gated=world.gated,
        taken={**{at: item for at, item in world.taken.items() if item.address.experiment in still}, **moved.taken},
        still=still,
    )


def _all_of(found: tuple[LiveResource, ...], stamp: str) -> bool:
    """The usual case: one live object, and it is the one that git wants."""
    return len(found) == 1 and found[0].stamp == stamp


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1].split("@", 1)[0]


def _newest_first(live: LiveResource) -> tuple[float, str]:
    return -live.created, live.name
