"""One create, safe to kill at any call and to race with anybody: claim, look once more, call, note what it started.

A custom job takes no caller's id, so an answer that was lost is looked for by the identity label before anything is
sent again. Everything else collides with itself by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reconciler.backends.failures import refusal_of
from reconciler.cloud import claims
from reconciler.cloud.claims import Taken
from reconciler.cloud.errors import LostAnswer, Unreachable
from reconciler.cloud.site import Site
from reconciler.cloud.snapshot import runs_of
from reconciler.core.calls import Call
from reconciler.core.changes import Change
from reconciler.core.errors import CloudError, Conflict
from reconciler.core.report import Outcome
from reconciler.core.resources import Cause, Json, LiveResource, Phase, Refusal, Resource

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

    What is exclusive has its name to itself, and needs no claim. Raises CloudError when the API refused it; the claim
    is taken back then, unless the call may have had its effect.
    """
    seen = change.before.created if change.before and change.before.stamp == resource.stamp else 0.0
    may_go_on()
    taken = claims.take(site.storage, site.target, resource, by, now=site.clock.now(), seen=seen)
    if taken is None and not resource.exclusive:
        return Step(Outcome.WAITING, "somebody else claimed it just now")
    try:
        if resource.once:
            step = _create_run(site, change, resource, calls, may_go_on)
            if step is None:
                _release(site, taken)
                return Step(Outcome.WAITING, "somebody else started it just now")
            return step
        started: list[tuple[str, Mapping[str, Json]]] = []
        for call in calls:
            answer = site.vertex.perform(call, may_go_on)
            if not answer:
                return Step(Outcome.WAITING, "it exists already under this name: the next pass looks", tuple(started))
            if _is_operation(answer):
                started.append((call.method, answer))
                taken = _note(site, resource, taken, str(answer["name"]))
        return Step(Outcome.DONE, started=tuple(started))
    except LostAnswer as lost:
        return Step(Outcome.WAITING, f"{lost.message}: the next pass looks whether it was done")
    except Unreachable:
        raise
    except CloudError as error:
        failure = refusal_of(error.status, error.message)
        if taken is None or failure is None:
            _release(site, taken)
            raise
        claims.refuse(site.storage, taken, Refusal(site.clock.now(), failure, change.rung))
        if not failure.cause.transient:
            raise
        return Step(Outcome.WAITING, f"{failure.cause}: {error.message}: it is tried again")
    except Exception:
        _release(site, taken)
        raise


def _release(site: Site, taken: Taken | None) -> None:
    if taken is not None:
        claims.release(site.storage, taken)


def _note(site: Site, resource: Resource, taken: Taken | None, operation: str) -> Taken | None:
    """Add the operation to the claim. Exclusive things of equal identity share one: there the last one's is kept."""
    if taken is None:
        return None
    try:
        return claims.add_operation(site.storage, taken, operation)
    except Conflict:
        if not resource.exclusive:
            raise
        return None


def _create_run(
    site: Site, change: Change, resource: Resource, calls: tuple[Call, ...], may_go_on: Callable[[], None]
) -> Step | None:
    """None when a job of this identity stands there already: nothing was sent."""
    (call,) = calls
    for look in range(1, LOOKS + 1):
        if _standing(site, change, resource):
            return Step(Outcome.DONE) if look > 1 else None
        try:
            site.vertex.perform(call, may_go_on)
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
    for job in runs_of(site.vertex, site.target, resource.stamp, resource.kind):
        if job.phase is not Phase.FAILED:
            if job.phase is Phase.READY and job.created <= known:
                continue  # a job that succeeded without a record, whose attempt was raised
            return job
        if job.created > known and job.failure and job.failure.cause is not Cause.CANCELLED:
            return job
    return None


def _is_operation(answer: Mapping[str, Json]) -> bool:
    return "/operations/" in str(answer.get("name", ""))
