"""What is protected is held, with a way out, wherever a plan would take it away."""

from __future__ import annotations

from reconciler.core.changes import Action, Reason
from reconciler.core.resources import Phase, Role, Rollout
from tests.core.builders import deployment, endpoint, live, model, plan, record, snapshot, the, training


def test_a_running_job_that_was_started_protected_is_held_and_not_cancelled() -> None:
    (change,) = plan((), snapshot(live(training(), Phase.RUNNING, protect=True))).changes

    assert (change.action, change.reason) == (Action.HOLD, Reason.PROTECTED)
    assert change.detail == "let it finish, or end it with `loraform cancel bot`"


def test_a_thing_is_let_go_by_a_commit_without_the_word() -> None:
    (change,) = plan((), snapshot(live(endpoint(), protect=True))).changes

    assert change.detail == "apply a commit without `protect: true` first"


def test_a_recreation_would_take_away_what_is_protected() -> None:
    wanted = deployment(version=2, rollout=Rollout(recreate=True))
    seen = snapshot(live(endpoint()), live(model()), live(deployment(), protect=True), records=(record(training()),))

    made = plan((training(), model(), endpoint(), wanted), seen)

    change = the(made, Role.DEPLOYMENT)
    assert (change.action, change.reason) == (Action.HOLD, Reason.PROTECTED)
    assert not made.now


def test_a_roll_beside_what_is_protected_removes_the_older_one_once_the_new_one_serves() -> None:
    older = live(deployment(), protect=True, spec={"max_replica_count": 1, "traffic": 0})
    seen = snapshot(live(endpoint()), live(model()), older, live(deployment(version=2)), records=(record(training()),))

    made = plan((training(), model(), endpoint(), deployment(version=2)), seen)

    assert [(change.action, change.reason) for change in made.now] == [(Action.DELETE, Reason.SUPERSEDED)]


def test_an_endpoint_is_held_with_the_deployment_that_is_held_and_does_not_wait_for_it() -> None:
    made = plan((), snapshot(live(endpoint()), live(deployment(), protect=True)))

    assert [(change.address.role, change.action, change.reason) for change in made.changes] == [
        (Role.ENDPOINT, Action.HOLD, Reason.PREREQUISITE),
        (Role.DEPLOYMENT, Action.HOLD, Reason.PROTECTED),
    ]
    assert made.changes[0].detail == "deployment is held"


def test_what_a_protection_held_is_foreseen_once_the_plan_lifts_it() -> None:
    wanted = deployment(version=2, rollout=Rollout(recreate=True))
    free = endpoint(spec={"labels": {"team": "a"}, "protect": False})
    shut = live(endpoint(), protect=True, spec={"labels": {"team": "a"}, "protect": True})
    seen = snapshot(shut, live(model()), live(deployment(), protect=True), records=(record(training()),))

    made = plan((training(), model(), free, wanted), seen)

    assert the(made, Role.DEPLOYMENT).reason is Reason.PROTECTED
    assert [(change.action, change.reason) for change in made.follow][:1] == [(Action.DELETE, Reason.RECREATED)]
