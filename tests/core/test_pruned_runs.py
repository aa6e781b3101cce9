"""Going back to a run whose artifact was pruned: it is trained again, for a price that is told, and not without end."""

from __future__ import annotations

from reconciler.core.changes import Action, Reason
from reconciler.core.resources import Cause, Failure, Phase, Role
from tests.core.builders import HOUR, NOW, fleet, live, plan, record, snapshot, the, training

PRUNED = record(training(), pruned=True, since=NOW - HOUR, seconds=4320.0)


def test_the_price_is_what_the_very_run_took() -> None:
    (impact,) = plan(fleet(), snapshot(records=(PRUNED,))).impacts

    assert (impact.lasted, impact.lasted_as) == (4320.0, training().stamp)


def test_a_record_that_does_not_tell_falls_back_on_the_last_run() -> None:
    (impact,) = plan(fleet(), snapshot(records=(record(training(), pruned=True),))).impacts

    assert impact.lasted is None


def test_its_old_job_is_no_try_and_is_known_to_apply() -> None:
    job = live(training(), Phase.READY, created=NOW - 9 * HOUR, history=True)

    change = the(plan(fleet(), snapshot(job, records=(PRUNED,))), Role.TRAINING)

    assert (change.action, change.reason, change.before) == (Action.CREATE, Reason.PRUNED, job)


def test_a_job_that_failed_since_then_is_held_like_any_other() -> None:
    failure = Failure(Cause.ERROR, "no answer in row 3")
    job = live(training(), Phase.FAILED, created=NOW - 60, failure=failure, attempt_key="first", history=True)

    change = the(plan(fleet(), snapshot(job, records=(PRUNED,))), Role.TRAINING)

    assert (change.action, change.reason) == (Action.HOLD, Reason.FAILED)
