"""The plan from one tree to another, on an imagined world."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.between import converged, plan_between
from reconciler.core.changes import Action, FieldChange, Reason
from reconciler.core.resources import Declared, Resource, Role, Rollout
from tests.core.builders import deployment, fleet, plan, the


def test_a_converged_world_is_in_sync_with_what_made_it() -> None:
    desired = (*fleet("one"), *fleet("two", 2))

    made = plan(desired, converged(desired))

    assert {change.action for change in made.changes} == {Action.NOOP}
    assert not made.follow


def test_between_equal_trees_there_is_nothing() -> None:
    made = plan_between(fleet(), fleet(), target="test")

    assert {change.reason for change in made.changes} == {Reason.IN_SYNC, Reason.REUSED}


def test_another_training_names_the_fields_that_differ_and_keeps_the_old_model() -> None:
    made = plan_between(fleet(), fleet(version=2), target="test")

    assert the(made, Role.TRAINING).fields == (FieldChange("adapter.r", 8, 16, "retrain"),)
    assert [(change.address.role, change.action) for change in made.follow] == [
        (Role.MODEL, Action.CREATE),
        (Role.DEPLOYMENT, Action.CREATE),
        (Role.DEPLOYMENT, Action.UPDATE),
        (Role.DEPLOYMENT, Action.DELETE),
    ]


def test_a_setting_is_changed_in_place_and_is_no_drift() -> None:
    before = (*fleet()[:3], deployment(fields={"serving.max_replica_count": Declared(1, "in_place")}))
    after = (
        *fleet()[:3],
        deployment(
            spec={"max_replica_count": 3, "traffic": 100}, fields={"serving.max_replica_count": Declared(3, "in_place")}
        ),
    )

    change = the(plan_between(before, after, target="test"), Role.DEPLOYMENT)

    assert (change.action, change.reason) == (Action.UPDATE, Reason.SETTINGS_CHANGED)


def test_what_left_the_tree_is_removed_whatever_the_limits() -> None:
    before = [resource for number in range(20) for resource in fleet(f"bot-{number}")]

    made = plan_between(before, fleet("bot-0"), target="test")

    removed = {change.address.experiment for change in made.now}
    assert len(removed) == 19
    assert {change.reason for change in made.now} == {Reason.REMOVED}


def test_experiments_that_share_a_run_converge_too() -> None:
    desired = (*fleet("one"), *fleet("two"))

    made = plan(desired, converged(desired))

    assert {change.action for change in made.changes} == {Action.NOOP}


def test_a_roll_out_in_many_steps_converges_and_is_planned_step_by_step() -> None:
    steps = Rollout(tuple(range(5, 101, 5)), hold=600.0)

    def tree(version: int) -> tuple[Resource, ...]:
        return (*fleet(version=version)[:3], deployment(version=version, rollout=steps))

    made = plan(tree(1), converged(tree(1)))
    rolled = plan_between(tree(1), tree(2), target="test")

    assert {change.action for change in made.changes} == {Action.NOOP}
    assert sum(change.action is Action.UPDATE for change in rolled.follow) == len(steps.steps)


def test_what_a_tree_adopts_is_taken_as_it_stands_and_gets_the_next_version() -> None:
    adopting = tuple(
        replace(one, adopts={Role.MODEL: "theirs", Role.ENDPOINT: "p/endpoints/7"}.get(one.address.role, ""))
        for one in fleet()
    )

    made = plan_between((), adopting, target="test")
    own = plan_between(fleet(), adopting, target="test")

    assert (the(made, Role.ENDPOINT).action, the(made, Role.ENDPOINT).reason) == (Action.UPDATE, Reason.ADOPTED)
    assert the(made, Role.ENDPOINT).detail == "adopted from 7"
    created = [change.address.role for change in (*made.now, *made.follow) if change.action is Action.CREATE]
    assert created == [Role.TRAINING, Role.MODEL, Role.DEPLOYMENT]
    assert not own.now
