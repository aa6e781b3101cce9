"""The decision table for runs, trainings and evaluations: one is done when its record exists.

A job is only how to get one. An evaluation waits for its training, whose job mostly carries it out as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.core.changes import Action, Change, Reason
from reconciler.core.decide import after_failure, decide_create
from reconciler.core.diff import declared_changes
from reconciler.core.ladder import Climb, climb, on_rung
from reconciler.core.resources import Address, Cause, LiveResource, Phase, Record, Resource, Role
from reconciler.core.world import World


def decide_run(resource: Resource, world: World, decided: Mapping[Address, Change]) -> list[Change]:
    """All changes at the address of a desired run: one about the run, then the cancels of superseded ones."""
    return [_decide(resource, world, decided), *_superseded(resource, world)]


def _decide(resource: Resource, world: World, decided: Mapping[Address, Change]) -> Change:
    record = world.records.get(resource.stamp)
    jobs = tuple(job for job in world.runs.get(resource.stamp, ()) if _counts(job, world))
    if record is not None and not record.pruned:
        return _change(resource, Action.NOOP, Reason.REUSED, before=jobs[0] if jobs else None)
    running = next((job for job in jobs if job.phase in (Phase.PENDING, Phase.RUNNING)), None)
    if running is not None:
        return _in_progress(resource, running)
    unclear = next((job for job in jobs if job.phase in (Phase.DELETING, Phase.UNKNOWN)), None)
    if unclear is not None:
        stuck = world.now > unclear.since + world.patience.stuck
        action, reason = (Action.HOLD, Reason.STUCK) if stuck else (Action.WAIT, Reason.IN_PROGRESS)
        return _change(resource, action, reason, unclear.phase.value, before=unclear)
    tried = tuple(job for job in jobs if job.created > _void_until(resource, record, world))
    if tried:
        settled = _after_end(resource, tried, world)
        if settled is not None:
            return settled
    twins = (decided.get(address) for address in world.wanted[resource.stamp])
    twin = next((change.address for change in twins if change and change.action is Action.CREATE), None)
    if twin is not None:
        change = _change(resource, Action.WAIT, Reason.SAME_RUN, f"as {twin.experiment}")
        return replace(change, waits_on=(twin,))
    change = decide_create(resource, world, decided)
    if change.action is Action.CREATE and record is not None:
        return replace(change, reason=Reason.PRUNED, before=jobs[0] if jobs else change.before)
    if change.action is Action.CREATE and jobs:
        # Perhaps of another experiment: apply must know that this one has ended, or it would take it for a new one.
        own = _own(resource, jobs)
        rung = _climb(resource, own).rung
        words = f"retry on {where}" if own and (where := on_rung(resource, rung)) else ""
        reason = Reason.RETRY if own else Reason.ATTEMPT_CHANGED
        change = replace(change, reason=reason, before=jobs[0], rung=rung, detail=words)
    if change.action is Action.CREATE and resource.address.role is Role.EVALUATION:
        return _measured_again(resource, change, world)
    return change


def _void_until(resource: Resource, record: Record | None, world: World) -> float:
    """Jobs that are not younger than this say nothing about what has to be done now.

    A pruned run that was started again is judged by what was tried since; its older job succeeded once. An evaluation
    of an artifact that was trained again since is void.
    """
    if record is not None:
        return record.since or world.now
    if resource.address.role is not Role.EVALUATION:
        return -1.0
    runs = (world.records.get(world.desired[needed].stamp) for needed in resource.depends_on)
    return max((run.since for run in runs if run), default=-1.0)


def _measured_again(resource: Resource, change: Change, world: World) -> Change:
    """An evaluation of what is trained: with the fields that differ from what was measured with the training."""
    trained = [world.desired[needed] for needed in resource.depends_on]
    stamps = {item.stamp for item in trained}
    if not any(item.of in stamps for item in world.records.values()):
        return change
    jobs = (job for item in trained for job in world.same(item) if job.declared)
    before = next(jobs, None)
    # The claim of the training tells of all that was declared for it; here only what is measured counts.
    told_before = {
        path: value
        for path, value in (before.declared.items() if before else ())
        if path in resource.fields or path.startswith("evaluation.")
    }
    fields = change.fields or (declared_changes(resource, told_before) if told_before else ())
    words = "evaluated again: nothing is trained"
    return replace(change, fields=fields, detail=f"{change.detail}; {words}" if change.detail else words)


def _after_end(resource: Resource, jobs: tuple[LiveResource, ...], world: World) -> Change | None:
    """All jobs of this identity have ended and left no record: wait, hold, or None to try again.

    What failed under another attempt, or that of an equal experiment, holds nobody else; what is about to leave a
    record is waited for, whoever started it.
    """
    fresh = [job for job in jobs if job.phase is Phase.READY and world.now < job.since + world.patience.artifact]
    if fresh:
        return _change(resource, Action.WAIT, Reason.IN_PROGRESS, "its run record is about to appear", before=fresh[0])
    own = _own(resource, jobs)
    if not own:
        return None
    newest = own[0]
    if newest.phase is Phase.READY:
        detail = "the job succeeded, but left no run record"
        return _change(resource, Action.HOLD, Reason.ARTIFACT_MISSING, detail, before=newest)
    return after_failure(resource, newest, _climb(resource, own), world)


def _own(resource: Resource, jobs: tuple[LiveResource, ...]) -> tuple[LiveResource, ...]:
    """The jobs under the attempt key of the resource; one that tells none counts for all."""
    return tuple(job for job in jobs if job.attempt_key in ("", resource.attempt_key))


def _climb(resource: Resource, own: tuple[LiveResource, ...]) -> Climb:
    """Where the ladder stands after the failed tries under the attempt key."""
    return climb(len(resource.rungs), [job for job in own if job.phase is Phase.FAILED][::-1])


def _counts(job: LiveResource, world: World) -> bool:
    """A cancelled job counts only under the claim that it was started with.

    Apply drops the claim when it cancels a superseded run, so that a revert may start it again; a person's cancel
    leaves the claim, and holds the run.
    """
    if job.failure is None or job.failure.cause is not Cause.CANCELLED:
        return True
    claim = world.claims.get(job.stamp)
    return claim is not None and claim.at <= job.created


def _in_progress(resource: Resource, job: LiveResource) -> Change:
    if job.address == resource.address:
        words = [job.phase.value, on_rung(resource, job.rung) if job.attempt_key == resource.attempt_key else ""]
        return _change(resource, Action.WAIT, Reason.IN_PROGRESS, ", ".join(filter(None, words)), before=job)
    change = _change(resource, Action.WAIT, Reason.SAME_RUN, f"as {job.address.experiment}", before=job)
    return replace(change, waits_on=(job.address,))


def _superseded(resource: Resource, world: World) -> list[Change]:
    if resource.lets_finish:
        return []
    return [
        replace(_change(resource, Action.CANCEL, Reason.SUPERSEDED, before=job), after=None)
        for job in world.others(resource)
        if job.phase in (Phase.PENDING, Phase.RUNNING) and job.stamp not in world.wanted
    ]


def _change(
    resource: Resource, action: Action, reason: Reason, detail: str = "", before: LiveResource | None = None
) -> Change:
    return Change(resource.address, resource.kind, action, reason, detail, before=before, after=resource)
