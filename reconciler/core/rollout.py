"""How a new deployment takes over: shares of the traffic in steps, each kept for a least time, or after a gap.

Time enters twice: as `now`, and as the time of the last step that the endpoint's label tells (`LiveResource.stepped`).
A deployment gets everything at once where nothing serves beside it, and where only younger ones do: then git has gone
back to what served before them, and a way back that waits for its steps is none.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.resources import Json, LiveResource, Phase, Resource
from reconciler.core.world import World

STEPPED = "loraform-stepped"
"""The label of the endpoint that keeps the time of the last step, in whole seconds since the epoch."""


def due(resource: Resource, live: LiveResource, world: World) -> Resource:
    """The resource with the share of the traffic that it may have in this pass; itself when there are no steps."""
    final, share = resource.spec.get("traffic"), live.spec.get("traffic")
    plan = resource.rollout
    if plan is None or not isinstance(final, int) or not isinstance(share, int) or share >= final:
        return resource
    if not any(_serves(rival) and rival.created <= live.created for rival in world.others(resource)):
        return resource
    if share and world.now < live.stepped + plan.hold:
        return _at(resource, share)
    return _at(resource, next((step for step in plan.steps if step > share), final))


def makes_room(resource: Resource, world: World) -> tuple[LiveResource, ...]:
    """What must go before the resource can be created, when its machines are needed for it (`strategy: recreate`)."""
    if resource.rollout is None or not resource.rollout.recreate:
        return ()
    return tuple(live for live in world.others(resource) if not live.history)


def stamps_of(resource: Resource, live: LiveResource, now: float) -> dict[str, str]:
    """The label that keeps the time of a step, when the traffic is about to change."""
    return {} if resource.spec.get("traffic") == live.spec.get("traffic") else {STEPPED: str(int(now))}


def waits_until(resource: Resource, live: LiveResource) -> str:
    """Words for a step that is being held."""
    hold = resource.rollout.hold if resource.rollout else 0.0
    share: Json = live.spec.get("traffic")
    return f"at {share} % for at least {hold / 60:g} minutes"


def _serves(rival: LiveResource) -> bool:
    return rival.phase is Phase.READY and not rival.history and bool(rival.spec.get("traffic"))


def _at(resource: Resource, share: int) -> Resource:
    return replace(resource, spec={**resource.spec, "traffic": share})
