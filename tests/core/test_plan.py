"""What the planner does in the situations that users know by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.changes import Action, FieldChange, Reason
from reconciler.core.errors import Diagnostic, LoraformError, Severity
from reconciler.core.forecast import forecast
from reconciler.core.resources import Address, Cause, Failure, Phase, Role, Source
from reconciler.core.table import decide
from reconciler.core.world import Patience, world_of
from tests.core.builders import (
    HOUR,
    NOW,
    at,
    claim,
    converged,
    deployment,
    endpoint,
    fleet,
    live,
    model,
    plan,
    record,
    snapshot,
    the,
    training,
)


def actions(made) -> list[tuple[str, str]]:
    return [(str(change.address.role), str(change.action)) for change in made.changes]


def test_a_forecast_ends_at_its_horizon() -> None:
    desired = fleet()
    world = world_of(desired, snapshot(), NOW, Patience())

    seen = forecast(world, decide(world), horizon=1)

    assert [change.address.role for change in seen] == [Role.MODEL]


def test_a_new_experiment_starts_its_training_and_its_endpoint_and_the_rest_waits() -> None:
    made = plan(fleet())

    assert actions(made) == [
        ("training", "create"),
        ("model", "wait"),
        ("endpoint", "create"),
        ("deployment", "wait"),
    ]


def test_the_forecast_of_a_new_experiment_is_its_whole_life() -> None:
    made = plan(fleet())

    assert [(str(change.address.role), str(change.action)) for change in made.follow] == [
        ("model", "create"),
        ("deployment", "create"),
        ("deployment", "update"),
    ]
    assert made.follow[0].waits_on == (at(Role.TRAINING),)
    assert made.follow[2].fields == (FieldChange("traffic", 0, 100, "route"),)


def test_a_converged_experiment_is_in_sync() -> None:
    made = plan(fleet(), converged())

    assert not made.now
    assert not made.follow
    assert the(made, Role.TRAINING).reason is Reason.REUSED


def test_another_identity_trains_anew_while_the_old_one_keeps_serving() -> None:
    made = plan(fleet(version=2), converged())

    assert actions(made) == [
        ("training", "create"),
        ("model", "wait"),
        ("endpoint", "noop"),
        ("deployment", "wait"),
    ]


def test_a_new_run_names_the_field_that_asks_for_it() -> None:
    older = live(training(), declared={"adapter.r": 8})

    made = plan((training(version=2),), snapshot(older, records=(record(training()),)))

    assert the(made, Role.TRAINING).fields == (FieldChange("adapter.r", 8, 16, "retrain"),)
    assert the(made, Role.TRAINING).reason is Reason.IDENTITY_CHANGED


def test_a_roll_creates_beside_the_old_one_then_moves_the_traffic_then_removes_it() -> None:
    desired = (training(), model(), endpoint(), deployment(version=2))

    made = plan(desired, converged())

    assert the(made, Role.DEPLOYMENT).action is Action.CREATE
    assert [change.name for change in the(made, Role.DEPLOYMENT).replaces] == [live(deployment()).name]
    assert [(str(change.action), str(change.reason)) for change in made.follow] == [
        ("update", "settings changed"),
        ("delete", "superseded"),
    ]


def test_a_revert_deploys_the_old_model_and_trains_nothing() -> None:
    newer = fleet(version=2)
    seen = snapshot(live(endpoint()), live(newer[1]), live(newer[3]), records=(record(training()), record(newer[0])))

    made = plan((training(), model(), endpoint(), deployment()), seen)

    assert the(made, Role.TRAINING).reason is Reason.REUSED
    assert the(made, Role.MODEL).action is Action.CREATE
    assert not [change for change in (*made.now, *made.follow) if change.address.role is Role.TRAINING]


def test_more_replicas_are_an_update_in_place() -> None:
    wanted = replace(deployment(), spec={"max_replica_count": 3, "traffic": 100})

    made = plan((training(), model(), endpoint(), wanted), converged())

    assert the(made, Role.DEPLOYMENT).action is Action.UPDATE
    assert the(made, Role.DEPLOYMENT).fields == (FieldChange("serving.max_replica_count", 1, 3, "in_place"),)


def test_a_value_that_git_once_declared_is_a_changed_setting() -> None:
    found = live(deployment(), spec={"max_replica_count": 2}, declared={"serving.max_replica_count": 2})

    made = plan((training(), model(), endpoint(), deployment()), replacing(found))

    assert the(made, Role.DEPLOYMENT).reason is Reason.SETTINGS_CHANGED


def test_a_value_that_git_never_declared_has_drifted() -> None:
    found = live(deployment(), spec={"max_replica_count": 7}, declared={"serving.max_replica_count": 1})

    made = plan((training(), model(), endpoint(), deployment()), replacing(found))

    assert the(made, Role.DEPLOYMENT).reason is Reason.DRIFTED


def test_a_setting_that_the_api_does_not_show_is_not_compared() -> None:
    made = plan(fleet(), replacing(live(deployment(), spec={})))

    assert the(made, Role.DEPLOYMENT).action is Action.NOOP


def test_labels_of_other_tools_are_no_difference() -> None:
    found = live(endpoint(), spec={"labels": {"team": "a", "cost": "42"}})

    made = plan(fleet(), replacing(found))

    assert the(made, Role.ENDPOINT).action is Action.NOOP


def test_two_experiments_of_one_identity_share_one_run() -> None:
    made = plan((training("ant"), training("bee")))

    assert the(made, Role.TRAINING, "ant").action is Action.CREATE
    assert the(made, Role.TRAINING, "bee").reason is Reason.SAME_RUN
    assert the(made, Role.TRAINING, "bee").waits_on == (at(Role.TRAINING, "ant"),)


def test_a_run_started_for_another_experiment_is_waited_for() -> None:
    made = plan((training("bee"),), snapshot(live(training("ant"), Phase.RUNNING)))

    assert the(made, Role.TRAINING, "bee").reason is Reason.SAME_RUN


def test_a_run_that_another_experiment_still_wants_is_not_cancelled() -> None:
    running = live(training("ant"), Phase.RUNNING)

    made = plan((training("ant", version=2), training("bee")), snapshot(running))

    assert not [change for change in made.changes if change.action is Action.CANCEL]


def test_a_superseded_run_may_be_left_to_finish() -> None:
    made = plan((training(version=2, lets_finish=True),), snapshot(live(training(), Phase.RUNNING)))

    assert not [change for change in made.changes if change.action is Action.CANCEL]


def test_a_run_that_a_person_cancelled_is_held() -> None:
    cancelled = live(training(), Phase.FAILED, failure=Failure(Cause.CANCELLED, "by ann"), created=NOW - 5)

    made = plan((training(),), snapshot(cancelled, claims=(claim(training(), age=HOUR),)))

    assert the(made, Role.TRAINING).action is Action.HOLD


def test_a_run_that_was_cancelled_as_superseded_starts_again_after_a_revert() -> None:
    cancelled = live(training(), Phase.FAILED, failure=Failure(Cause.CANCELLED, "superseded"))

    made = plan((training(),), snapshot(cancelled))

    assert the(made, Role.TRAINING).action is Action.CREATE


def test_a_passing_failure_is_tried_again_with_growing_patience() -> None:
    def after(tries: int, seconds: float) -> Action:
        jobs = tuple(
            live(
                training(),
                Phase.FAILED,
                name=f"job-{n}",
                since=NOW - seconds,
                created=NOW - HOUR + n,
                failure=Failure(Cause.STOCKOUT, "no L4 left"),
            )
            for n in range(tries)
        )
        return the(plan((training(),), snapshot(*jobs)), Role.TRAINING).action

    assert after(1, 59) is Action.WAIT
    assert after(1, 61) is Action.CREATE
    assert after(3, 239) is Action.WAIT
    assert after(3, 241) is Action.CREATE
    assert after(5, 1e6) is Action.HOLD


def test_a_failure_without_a_word_is_held_with_an_honest_message() -> None:
    made = plan((training(),), snapshot(live(training(), Phase.FAILED, failure=None)))

    assert the(made, Role.TRAINING).detail == "it failed and does not say why"


def test_what_needs_something_held_is_held_too_up_the_whole_chain() -> None:
    made = plan(fleet(), snapshot(live(training(), Phase.FAILED)))

    assert the(made, Role.MODEL).reason is Reason.PREREQUISITE
    assert the(made, Role.DEPLOYMENT).action is Action.HOLD
    assert the(made, Role.DEPLOYMENT).waits_on == (at(Role.MODEL),)


def test_a_suspended_endpoint_holds_its_deployment_and_says_how_to_resume() -> None:
    seen = snapshot(live(model()), live(endpoint(), suspended=True), records=(record(training()),))

    made = plan(fleet(), seen)

    assert the(made, Role.DEPLOYMENT).reason is Reason.SUSPENDED
    assert the(made, Role.DEPLOYMENT).detail == "loraform resume bot"


def test_an_endpoint_that_cannot_stand_beside_its_successor_holds() -> None:
    made = plan((endpoint(version=2),), snapshot(live(endpoint())))

    assert the(made, Role.ENDPOINT).reason is Reason.EXCLUSIVE


def test_what_git_forgets_goes_dependent_first_and_models_stay() -> None:
    made = plan((), converged())

    assert actions(made) == [("endpoint", "wait"), ("deployment", "delete")]
    assert [(str(change.address.role), str(change.action)) for change in made.follow] == [("endpoint", "delete")]


def test_a_running_job_that_git_forgets_is_cancelled() -> None:
    made = plan((), snapshot(live(training(), Phase.RUNNING)))

    assert actions(made) == [("training", "cancel")]


def test_a_finished_job_that_git_forgets_is_history() -> None:
    made = plan((), snapshot(live(training(), Phase.FAILED, history=False)))

    assert made.changes == ()


def test_what_is_protected_is_held_with_the_way_out() -> None:
    made = plan((), snapshot(live(deployment(), protect=True)))

    assert [(change.action, change.reason) for change in made.changes] == [(Action.HOLD, Reason.PROTECTED)]


def test_an_endpoint_with_somebody_elses_deployment_is_not_deleted() -> None:
    made = plan((), snapshot(live(endpoint(), in_use="deployed models that are not ours: 77")))

    assert made.changes[0].reason is Reason.IN_USE


def test_something_deleting_for_more_than_an_hour_wants_a_person() -> None:
    made = plan((), snapshot(live(deployment(), Phase.DELETING, since=NOW - 2 * HOUR)))

    assert made.changes[0].reason is Reason.STUCK


def test_a_selection_never_removes_what_git_does_not_name() -> None:
    made = plan(fleet("ant"), converged("zebra"), only=("ant",))

    assert {change.address.experiment for change in (*made.changes, *made.follow)} == {"ant"}


def test_a_claim_on_something_whose_name_collides_is_no_reason_to_wait() -> None:
    made = plan((endpoint(),), snapshot(claims=(claim(endpoint()),)))

    assert the(made, Role.ENDPOINT).action is Action.CREATE


def test_a_claim_whose_object_is_seen_is_no_reason_to_wait() -> None:
    failed = live(training(), Phase.FAILED, created=NOW - 5, attempt_key="before")

    made = plan((training(),), snapshot(failed, claims=(claim(training(), age=10),)))

    assert the(made, Role.TRAINING).reason is Reason.ATTEMPT_CHANGED


def test_the_plan_id_moves_with_what_is_done_and_not_with_what_is_waited_for() -> None:
    first = plan(fleet())
    again = plan(fleet(), now=NOW + 12 * HOUR)
    other = plan(fleet(version=2))
    nothing = plan(fleet(), converged())
    ticking = plan((training(),), snapshot(live(training(), Phase.RUNNING)))
    ticked = plan((training(),), snapshot(live(training(), Phase.PENDING, since=NOW)))

    assert first.id == again.id
    assert len({first.id, other.id, nothing.id}) == 3
    assert ticking.id == ticked.id
    assert len(first.id) == 12


def test_diagnostics_are_carried_in_the_order_of_the_files() -> None:
    late = Diagnostic(Source("b.yaml", 3, 1), "rule", "later", "do this", Severity.WARNING)
    early = Diagnostic(Source("a.yaml", 9), "rule", "sooner")

    made = plan((), diagnostics=(late, early))

    assert [str(item) for item in made.diagnostics] == [
        "a.yaml:9: error: sooner [rule]",
        "b.yaml:3:1: warning: later [rule]\n    do this",
    ]


def test_a_cycle_is_refused_by_name() -> None:
    one = training(depends_on=(at(Role.MODEL),))

    with pytest.raises(LoraformError, match=r"^these depend on each other: bot/"):
        plan((one, model()))


def test_a_dependency_that_nobody_declares_is_refused() -> None:
    with pytest.raises(LoraformError, match="bot/model depends on cat/training, which nothing declares"):
        plan((model(depends_on=(Address("cat", Role.TRAINING),)),))


def replacing(found):
    """A converged experiment with one live object other than usual."""
    seen = converged()
    kept = tuple(thing for thing in seen.live if thing.address != found.address)
    return snapshot(*kept, found, records=tuple(seen.records.values()))
