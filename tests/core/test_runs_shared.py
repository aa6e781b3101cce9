"""Runs that several experiments share by their identity: what one of them began counts for all."""

from __future__ import annotations

from reconciler.core.changes import Action, Reason
from reconciler.core.resources import Cause, Failure, Phase, Role
from tests.core.builders import HOUR, NOW, claim, live, plan, snapshot, the, training


def test_a_run_that_failed_for_another_experiment_is_what_a_new_attempt_comes_after() -> None:
    ended = live(training("ape"), Phase.FAILED)
    wanted = training("bee", attempt_key="second")

    change = the(plan((wanted,), snapshot(ended)), Role.TRAINING, "bee")

    assert (change.action, change.reason, change.before) == (Action.CREATE, Reason.ATTEMPT_CHANGED, ended)


def test_a_run_that_was_preempted_for_another_experiment_is_tried_again_after_it() -> None:
    preempted = Failure(Cause.PREEMPTED, "it was preempted")
    ended = live(training("ape"), Phase.FAILED, failure=preempted)

    change = the(plan((training("bee"),), snapshot(ended)), Role.TRAINING, "bee")

    assert (change.action, change.reason, change.before) == (Action.CREATE, Reason.RETRY, ended)


def test_the_newest_run_of_an_identity_counts_whichever_experiment_began_it() -> None:
    older = live(training("ape"), Phase.FAILED, created=NOW - 2 * HOUR)
    newer = live(training("bee", attempt_key="second"), Phase.FAILED, created=NOW - HOUR)
    wanted = training("bee", attempt_key="second")

    change = the(plan((wanted,), snapshot(older, newer)), Role.TRAINING, "bee")

    assert (change.action, change.reason, change.before) == (Action.HOLD, Reason.FAILED, newer)


def test_a_claim_has_done_its_work_when_its_job_was_seen_at_another_experiment() -> None:
    ended = live(training("ape"), Phase.FAILED, created=NOW - 5)
    wanted = training("bee", attempt_key="second")

    change = the(plan((wanted,), snapshot(ended, claims=(claim(wanted),))), Role.TRAINING, "bee")

    assert change.action is Action.CREATE
