"""What the exit codes of plan and apply say."""

from __future__ import annotations

import pytest

from reconciler.cli import applying
from reconciler.cli.plan import exit_code
from reconciler.cloud.reconcile import Pass
from reconciler.core.report import Outcome, Result
from reconciler.core.resources import Phase, Snapshot
from tests.core.builders import converged, deployment, endpoint, fleet, live, model, plan, record, snapshot, training


def seen(snapshot: Snapshot) -> Pass:
    return Pass(snapshot, plan(fleet(), snapshot))


def test_a_plan_with_nothing_to_do_is_0_with_changes_2_and_blocked_3() -> None:
    failed = snapshot(live(training(), Phase.FAILED), live(endpoint()))

    assert exit_code(plan(fleet(), converged())) == 0
    assert exit_code(plan(fleet())) == 2
    assert exit_code(plan(fleet(), failed)) == 3


def test_waiting_is_nothing_to_do() -> None:
    assert exit_code(plan(fleet(), snapshot(live(training(), Phase.RUNNING), live(endpoint())))) == 0


def test_what_a_person_suspended_blocks_nothing() -> None:
    sleeping = snapshot(live(model()), live(endpoint(), suspended=True), records=(record(training()),))

    assert exit_code(plan(fleet(), sleeping)) == 0
    assert applying.exit_code(seen(sleeping), []) == 0


def test_an_apply_that_did_all_it_could_is_0() -> None:
    assert applying.exit_code(seen(converged()), []) == 0


def test_an_apply_of_which_the_api_refused_something_is_1() -> None:
    first = seen(snapshot())

    assert applying.exit_code(first, [Result(first.plan.now[0], Outcome.FAILED, "no")]) == 1


def test_an_apply_that_leaves_something_held_is_3() -> None:
    assert applying.exit_code(seen(snapshot(live(training(), Phase.FAILED), live(endpoint()))), []) == 3


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.UNKNOWN])
def test_traffic_on_something_that_does_not_serve_is_5(phase: Phase) -> None:
    broken = live(deployment(), phase, spec={"traffic": 100, "max_replica_count": 1})

    assert (
        applying.exit_code(seen(snapshot(live(model()), live(endpoint()), broken, records=(record(training()),))), [])
        == 5
    )
