"""What going from one tree to another brings about, with no cloud at all.

The world is imagined: it is as the first tree wants it, everything went well, and the second tree is planned on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from reconciler.core.changes import Plan
from reconciler.core.errors import Diagnostic
from reconciler.core.forecast import imagine
from reconciler.core.guardrails import NO_LIMITS
from reconciler.core.moves import adopted, moves_of
from reconciler.core.plan import make_plan
from reconciler.core.resources import Json, LiveResource, Phase, Resource, Role, Snapshot
from reconciler.core.table import decide
from reconciler.core.world import Patience, world_of

_PASSES = 2 * len(Role)
"""More than the longest life of an experiment has: each pass brings at least one role further."""


def plan_between(
    before: Iterable[Resource], after: Iterable[Resource], *, target: str, diagnostics: Iterable[Diagnostic] = ()
) -> Plan:
    """The plan of `after` on a world that `before` has converged to. Raises LoraformError for a cycle in either."""
    after = tuple(after)
    seen = converged(before)
    seen = replace(seen, live=(*adopted(seen.live, moves_of(after)), *_made_by_others(after, seen.live)))
    return make_plan(after, seen, now=0.0, target=target, limits=NO_LIMITS, diagnostics=diagnostics)


def _made_by_others(desired: Iterable[Resource], live: Iterable[LiveResource]) -> Iterator[LiveResource]:
    """What `adopt:` names, as if it were there and could be adopted, where the experiment has nothing of its own."""
    there = {item.address for item in live}
    for resource in desired:
        if resource.adopts and resource.address not in there:
            version = resource.address.role is Role.MODEL  # its versions came from no manifest: none is the wanted one
            yield LiveResource(
                resource.address,
                resource.kind,
                name=resource.adopts,
                stamp="" if version else resource.stamp,
                phase=Phase.READY,
                spec={} if version else {**resource.spec, **resource.born},
                history=version,
                adopted_from="" if version else resource.adopts.rsplit("/", 1)[-1],
            )


def converged(desired: Iterable[Resource]) -> Snapshot:
    """The world that passes over `desired` end in, with the fields that were declared for each thing in it."""
    resources = tuple(desired)
    world = world_of(resources, Snapshot(), 0.0, Patience())
    steps = max((len(item.rollout.steps) for item in resources if item.rollout), default=0)
    for _ in range(_PASSES + steps):
        world = imagine(world, decide(world))
    things = tuple(
        replace(item, history=item.address.role is Role.MODEL, declared=_declared(world.desired[item.address]))
        for items in world.live.values()
        for item in items
    )
    runs = tuple(_ended(resource) for resource in resources if resource.once and resource.stamp in world.records)
    return Snapshot((*things, *runs), world.records, {})


def _ended(resource: Resource) -> LiveResource:
    """The job of a finished run: it tells a plan what was declared for the run before."""
    return LiveResource(
        resource.address,
        resource.kind,
        name=f"{resource.address}@{resource.stamp}",
        stamp=resource.stamp,
        phase=Phase.READY,
        attempt_key=resource.attempt_key,
        history=True,
        declared=_declared(resource),
    )


def _declared(resource: Resource) -> dict[str, Json]:
    return {path: field.value for path, field in resource.fields.items()}
