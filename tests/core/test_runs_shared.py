"""Runs that several experiments share by their identity: what one of them began counts for all."""

from __future__ import annotations

from reconciler.core.changes import Action, Reason
from reconciler.core.resources import Cause, Failure, Phase, Role
from tests.core.builders import HOUR, NOW, claim, live, model, plan, record, snapshot, the, training


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


def test_a_raised_attempt_of_one_of_two_equal_experiments_does_not_release_the_other() -> None:
    """Each is held by what failed under its own attempt, whatever was tried since for the other."""
    ape, bee = training("ape", attempt_key="second"), training("bee")
    first = live(training("bee"), Phase.FAILED, name="one")
    second = live(training("ape"), Phase.FAILED, name="two", attempt_key="second", created=NOW - HOUR / 2)

    made = plan((ape, bee), snapshot(first, second))
    raised = plan((training("ape", attempt_key="third"), bee), snapshot(first, second))

    assert [the(made, Role.TRAINING, name).reason for name in ("ape", "bee")] == [Reason.FAILED] * 2
    assert the(raised, Role.TRAINING, "ape").action is Action.CREATE
    assert (the(raised, Role.TRAINING, "bee").action, the(raised, Role.TRAINING, "bee").reason) == (
        Action.HOLD,
        Reason.FAILED,
    )


def test_what_is_about_to_leave_its_record_is_waited_for_by_all_whatever_their_attempt() -> None:
    done = live(training("bee"), Phase.READY, since=NOW - 1)

    made = plan((training("ape", attempt_key="second"), training("bee")), snapshot(done))

    assert [the(made, Role.TRAINING, name).action for name in ("ape", "bee")] == [Action.WAIT] * 2


def test_equal_things_of_two_experiments_have_a_claim_each() -> None:
    ape, bee = (model(name) for name in ("ape", "bee"))
    trained = (record(training("ape")),)

    made = plan((training("ape"), training("bee"), ape, bee), snapshot(records=trained, claims=(claim(ape),)))

    assert the(made, Role.MODEL, "ape").reason is Reason.CLAIMED
    assert the(made, Role.MODEL, "bee").action is Action.CREATE
