"""The ladder as a table: after which failures the next try stands where, and whether it waits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.changes import Action, Change, Reason
from reconciler.core.ladder import climb, on_rung
from reconciler.core.resources import Cause, Failure, LiveResource, Phase, Role, Rung
from tests.core.builders import HOUR, NOW, live, plan, record, snapshot, the, training

SPOT, STANDARD = Rung("spot", "here"), Rung("standard", "here")
FOUR = (SPOT, STANDARD, Rung("spot", "there"), Rung("standard", "there"))
OUT, TAKEN, QUOTA = Cause.STOCKOUT, Cause.PREEMPTED, Cause.QUOTA
OTHER, TWIN = Cause.INTERNAL, Cause.DUPLICATE


def tried(*steps: tuple[int, Cause], last: float = HOUR) -> tuple[LiveResource, ...]:
    """Failed jobs, oldest first, each on its rung; the newest ended `last` seconds ago."""
    return tuple(
        live(
            training(),
            Phase.FAILED,
            name=f"job-{number}",
            rung=rung,
            failure=Failure(cause, "it failed"),
            created=NOW - 2 * HOUR + number,
            since=NOW - last - (len(steps) - 1 - number),
        )
        for number, (rung, cause) in enumerate(steps)
    )


@pytest.mark.parametrize(
    ("rungs", "steps", "rung", "at_once", "waits"),
    [
        (4, (), 0, True, 0),
        (4, ((0, OUT),), 1, True, 0),
        (4, ((0, TAKEN),), 1, True, 0),
        (4, ((0, QUOTA), (1, OUT)), 2, True, 0),
        (4, ((0, OUT), (1, OUT), (2, OUT)), 3, True, 0),
        (4, ((0, OUT), (1, OUT), (2, OUT), (3, OUT)), 0, False, 1),
        (4, ((0, OUT), (1, OUT), (2, OUT), (3, OUT), (0, OUT)), 1, True, 1),
        (4, ((0, OTHER),), 0, False, 1),
        (4, ((0, OUT), (1, OTHER)), 1, False, 1),
        (4, ((0, OUT), (1, TWIN), (1, OUT)), 2, True, 1),
        (1, ((0, OUT),), 0, False, 1),
        (1, ((0, OUT), (0, OUT)), 0, False, 2),
        (0, ((0, OUT),), 0, False, 1),
        (0, ((0, OTHER),), 0, False, 1),
        (2, ((7, OTHER),), 1, False, 1),
        (2, ((7, OUT),), 0, False, 1),
    ],
)
def test_the_next_rung_follows_from_what_was_tried(
    rungs: int, steps: tuple[tuple[int, Cause], ...], rung: int, at_once: bool, waits: int
) -> None:
    step = climb(rungs, tried(*steps))

    assert (step.rung, step.at_once, step.waits, step.tries) == (rung, at_once, waits, len(steps))


def test_a_failure_without_a_cause_climbs_nowhere() -> None:
    (job,) = tried((0, OUT))

    assert climb(4, (replace(job, failure=None),)).rung == 0


def decided(*steps: tuple[int, Cause], rungs: tuple[Rung, ...] = FOUR, last: float = HOUR) -> Change:
    return the(plan((training(rungs=rungs),), snapshot(*tried(*steps, last=last))), Role.TRAINING)


def test_a_run_begins_on_the_first_rung() -> None:
    change = decided()

    assert (change.action, change.reason, change.rung) == (Action.CREATE, Reason.ABSENT, 0)


def test_after_a_stock_out_the_next_rung_is_tried_at_once() -> None:
    change = decided((0, OUT), last=0.0)

    assert (change.action, change.reason, change.rung) == (Action.CREATE, Reason.RETRY, 1)
    assert change.detail == "retry on rung 2 of 4: standard in here"


def test_after_the_last_rung_it_waits_and_begins_anew() -> None:
    steps = tuple((rung, OUT) for rung in range(4))

    waiting, again = decided(*steps, last=30.0), decided(*steps)

    assert (waiting.action, waiting.reason) == (Action.WAIT, Reason.BACKOFF)
    assert waiting.detail == "rung 1 of 4: spot in here, try 5 from 1970-01-12 13:47:10 UTC on: it failed"
    assert (again.action, again.rung) == (Action.CREATE, 0)


def test_a_ladder_is_climbed_five_times_and_then_held() -> None:
    rounds = tuple((rung, OUT) for _ in range(5) for rung in range(2))

    change = decided(*rounds, rungs=FOUR[:2], last=30 * HOUR)

    assert (change.action, change.reason) == (Action.HOLD, Reason.FAILED)
    assert change.detail == "it failed (10 tries)"
    assert decided(*rounds[:-1], rungs=FOUR[:2], last=30 * HOUR).action is Action.CREATE


def test_a_passing_failure_of_another_kind_stays_on_its_rung() -> None:
    change = decided((0, OUT), (1, OTHER), last=HOUR)

    assert (change.action, change.rung) == (Action.CREATE, 1)


def test_what_helps_nobody_on_any_rung_is_held() -> None:
    assert decided((0, OUT), (1, Cause.GPU_MEMORY)).action is Action.HOLD


def test_another_attempt_begins_on_the_first_rung() -> None:
    jobs = tuple(replace(job, attempt_key="before") for job in tried((0, OUT), (1, OUT)))

    change = the(plan((training(rungs=FOUR),), snapshot(*jobs)), Role.TRAINING)

    assert (change.action, change.reason, change.rung) == (Action.CREATE, Reason.ATTEMPT_CHANGED, 0)


def test_a_pruned_artifact_is_trained_again_from_the_first_rung() -> None:
    seen = snapshot(*tried((0, OUT)), records=(record(training(), pruned=True),))

    change = the(plan((training(rungs=FOUR),), seen), Role.TRAINING)

    assert (change.reason, change.rung) == (Reason.PRUNED, 0)


def test_a_running_job_says_on_which_rung_it_is() -> None:
    running = live(training(), Phase.RUNNING, rung=1)
    former = replace(running, attempt_key="before")

    now = the(plan((training(rungs=FOUR),), snapshot(running)), Role.TRAINING)
    before = the(plan((training(rungs=FOUR),), snapshot(former)), Role.TRAINING)

    assert now.detail == "running, rung 2 of 4: standard in here"
    assert before.detail == "running"


def test_one_region_need_not_be_named_and_one_way_needs_no_words() -> None:
    assert on_rung(training(rungs=FOUR[:2]), 1) == "rung 2 of 2: standard"
    assert on_rung(training(rungs=FOUR[:1]), 0) == ""
    assert on_rung(training(rungs=FOUR[:2]), 7) == ""
