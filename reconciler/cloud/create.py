"""One create, safe to kill at any call and to race with anybody: claim, look once more, call, note what it started.

A custom job takes no caller's id, so an answer that was lost is looked for by the identity label before anything is
sent again. Everything else collides with itself by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reconciler.cloud import claims
from reconciler.cloud.errors import LostAnswer, Unreachable
from reconciler.cloud.site import Site
from reconciler.cloud.snapshot import runs_of
from reconciler.core.calls import Call
from reconciler.core.changes import Change
from reconciler.core.errors import CloudError
from reconciler.core.report import Outcome
from reconciler.core.resources import Cause, Json, LiveResource, Phase, Resource

LOOKS = 3
"""How often a job whose creation was not answered is looked for, and, on the embedded Vertex AI, sent again if the
server said it failed: there a listing shows at once what exists. Elsewhere the claim must lapse first."""
LOOK_EVERY = 2.0


@dataclass(frozen=True, slots=True)
class Step:
    """How a change went: its outcome, a word for a person, and the operations that it started."""

    outcome: Outcome
    message: str = ""
    started: tuple[tuple[str, Mapping[str, Json]], ...] = ()
    """(method, operation) of each long-running call."""


def create(
    site: Site, change: Change, resource: Resource, calls: tuple[Call, ...], by: str, may_go_on: Callable[[], None]
) -> Step:
    """Carry out a create. `may_go_on` raises when a mutating call must not be sent any more.

    Raises CloudError when the API refused it; the claim is taken back then, unless the call may have had its effect.
    """
    seen = change.before.created if change.before and change.before.stamp == resource.stamp else 0.0
    taken = claims.take(site.storage, site.target, resource, by, now=site.clock.now(), seen=seen)
    if taken is None:
        return Step(Outcome.WAITING, "somebody else claimed it just now")
    try:
        if resource.once:
            step = _create_run(site, change, resource, calls, may_go_on)
            if step is None:
                claims.release(site.storage, taken)
                return Step(Outcome.WAITING, "somebody else started it just now")
            return step
        started: list[tuple[str, Mapping[str, Json]]] = []
        for call in calls:
            may_go_on()
            answer = site.vertex.perform(call)
            if not answer:
                return Step(Outcome.WAITING, "it exists already under this name: the next pass looks", tuple(started))
            if _is_operation(answer):
                started.append((call.method, answer))
                taken = claims.add_operation(site.storage, taken, str(answer["name"]))
        return Step(Outcome.DONE, started=tuple(started))
    except LostAnswer as lost:
        return Step(Outcome.WAITING, f"{lost.message}: the next pass looks whether it was done")
    except Unreachable:
        raise
    except Exception:
        claims.release(site.storage, taken)
        raise


def _create_run(
    site: Site, change: Change, resource: Resource, calls: tuple[Call, ...], may_go_on: Callable[[], None]
) -> Step | None:
    """None when a job of this identity stands there already: nothing was sent."""
    (call,) = calls
    for look in range(1, LOOKS + 1):
        if _standing(site, change, resource):
            return Step(Outcome.DONE) if look > 1 else None
        may_go_on()
        try:
            site.vertex.perform(call)
        except LostAnswer as lost:
            if not site.target.local or not lost.answered or look == LOOKS:
                return _look_for(site, change, resource, lost)
            site.clock.sleep(LOOK_EVERY)
            continue
        return Step(Outcome.DONE)
    raise AssertionError("unreachable: the last look returns")


def _look_for(site: Site, change: Change, resource: Resource, lost: LostAnswer) -> Step:
    for _ in range(LOOKS):
        try:
            if _standing(site, change, resource):
                return Step(Outcome.DONE)
        except CloudError:
            break
        site.clock.sleep(LOOK_EVERY)
    return Step(Outcome.WAITING, f"{lost.message}: its claim keeps others away until it is clear whether it exists")


def _standing(site: Site, change: Change, resource: Resource) -> LiveResource | None:
    """A job of this identity that the plan did not know to have failed: creating another would train twice."""
    known = change.before.created if change.before and change.before.stamp == resource.stamp else 0.0
    for job in runs_of(site.vertex, site.target, resource.stamp):
        if job.phase is not Phase.FAILED:
            if job.phase is Phase.READY and job.created <= known:
                continue  # a job that succeeded without a record, whose attempt was raised
            return job
        if job.created > known and job.failure and job.failure.cause is not Cause.CANCELLED:
            return job
    return None


def _is_operation(answer: Mapping[str, Json]) -> bool:
    return "/operations/" in str(answer.get("name", ""))
