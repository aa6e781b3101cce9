"""What a change in a manifest makes the planner do, from the manifest through the backends to the plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.core.changes import Action, Plan, Reason
from reconciler.core.plan import make_plan
from reconciler.core.resources import Resource, Role, Snapshot
from tests.backends.answers import standing, together
from tests.backends.subjects import PLAIN, RICH, merged, resources

NOW = 4e9
T, M, E, D = Role.TRAINING, Role.MODEL, Role.ENDPOINT, Role.DEPLOYMENT


def plan(wanted: dict[Role, Resource], snapshot: Snapshot) -> Plan:
    return make_plan(wanted.values(), snapshot, now=NOW, target="local")


def now(plan: Plan) -> list[tuple[Role, Action]]:
    return [(change.address.role, change.action) for change in plan.now]


def later(plan: Plan) -> list[tuple[Role, Action]]:
    return [(change.address.role, change.action) for change in plan.follow if change.action.mutates]


@pytest.mark.parametrize("base", [PLAIN, RICH, merged(PLAIN, {"serving": None})], ids=["plain", "rich", "train only"])
def test_right_after_everything_is_ready_there_is_nothing_to_do(base: dict[str, Any]) -> None:
    wanted = resources(base=base)

    found = plan(wanted, standing(wanted))

    assert (now(found), later(found), found.blocked) == ([], [], ())


def test_a_new_experiment_is_trained_now_and_served_later() -> None:
    found = plan(resources(), Snapshot())

    assert now(found) == [(T, Action.CREATE), (E, Action.CREATE)]
    assert later(found) == [(M, Action.CREATE), (D, Action.CREATE), (D, Action.UPDATE)]


def test_another_owner_does_nothing() -> None:
    found = plan(resources({"owner": "somebody-else"}), standing(resources()))

    assert (now(found), later(found)) == ([], [])


def test_another_rank_trains_again_and_keeps_serving_until_then() -> None:
    found = plan(resources({"adapter": {"r": 32}}), standing(resources()))

    assert now(found) == [(T, Action.CREATE)]
    assert later(found) == [(M, Action.CREATE), (D, Action.CREATE), (D, Action.UPDATE), (D, Action.DELETE)]


def test_another_rank_is_named_where_the_old_claim_still_tells() -> None:
    before = resources()
    declared = {path: field.value for path, field in before[T].fields.items()}
    snapshot = standing(before)
    told = tuple(replace(item, declared=declared) if item.address.role is T else item for item in snapshot.live)

    found = plan(resources({"adapter": {"r": 32}}), replace(snapshot, live=told))

    (change,) = found.now
    assert [(item.path, item.before, item.after, item.effect) for item in change.fields] == [
        ("adapter.r", 16, 32, "retrain")
    ]


def test_another_maximum_of_replicas_is_an_update_in_place() -> None:
    found = plan(resources({"serving": {"max_replica_count": 5}}), standing(resources()))

    (change,) = found.now
    assert (change.address.role, change.action, later(found)) == (D, Action.UPDATE, [])
    assert [(item.path, item.before, item.after, item.effect) for item in change.fields] == [
        ("serving.max_replica_count", 3, 5, "in place")
    ]


def test_another_engine_setting_registers_and_rolls_without_training() -> None:
    found = plan(resources({"serving": {"engine": {"max_model_len": 8192}}}), standing(resources()))

    assert now(found) == [(M, Action.CREATE)]
    assert later(found) == [(D, Action.CREATE), (D, Action.UPDATE), (D, Action.DELETE)]


def test_a_revert_redeploys_the_old_model_and_trains_nothing() -> None:
    old, new = resources(), resources({"adapter": {"r": 32}})
    history = Snapshot(tuple(item for item in standing(old).live if item.address.role is M), standing(old).records)

    found = plan(old, together(standing(new, version=2), history))

    assert now(found) == [(D, Action.CREATE)]
    assert later(found) == [(D, Action.UPDATE), (D, Action.DELETE)]


def test_a_new_deployment_that_is_ready_gets_the_traffic() -> None:
    wanted = resources()

    found = plan(wanted, standing(wanted, serves=False))

    (change,) = found.now
    assert (change.address.role, change.action) == (D, Action.UPDATE)
    assert [(item.path, item.before, item.after) for item in change.fields] == [("traffic", 0, 100)]


def test_a_metric_below_the_gate_holds_the_deployment_and_registers_the_model() -> None:
    wanted = resources({"evaluation": {"gate": ["eval_loss <= 0.5"]}})
    trained = Snapshot(
        tuple(item for item in standing(wanted).live if item.address.role is T), standing(wanted).records
    )

    found = plan(wanted, trained)

    assert now(found) == [(M, Action.CREATE), (E, Action.CREATE)]
    assert later(found) == []


def test_removing_the_manifest_takes_down_what_serves_and_keeps_the_model() -> None:
    found = make_plan((), standing(resources()), now=NOW, target="local")

    assert now(found) == [(D, Action.DELETE)]
    assert later(found) == [(E, Action.DELETE)]


def test_a_protected_endpoint_is_held_when_its_manifest_goes() -> None:
    found = make_plan((), standing(resources(base=RICH)), now=NOW, target="local")

    assert now(found) == []
    assert {(change.address.role, change.reason) for change in found.blocked} == {
        (D, Reason.PROTECTED),
        (E, Reason.PROTECTED),
    }


def test_dropping_the_protection_is_an_update_of_the_label() -> None:
    found = plan(resources(merged({}, {"protect": False}), base=RICH), standing(resources(base=RICH)))

    assert now(found) == [(E, Action.UPDATE)]


def test_another_label_is_written_to_model_and_endpoint() -> None:
    found = plan(resources({"labels": {"team": "ops"}}), standing(resources()))

    assert now(found) == [(M, Action.UPDATE), (E, Action.UPDATE)]
