"""What a change says beside its action: which live object it is about, its kind, and the words for a person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.changes import Action, FieldChange, Reason
from reconciler.core.guardrails import Limits
from reconciler.core.resources import Cause, Failure, Phase, Resource, Role, Rollout
from reconciler.core.rollout import STEPPED
from reconciler.core.verdict import GATE, label_of
from tests.core.builders import (
    HOUR,
    NOW,
    at,
    converged,
    deployment,
    endpoint,
    fleet,
    gate,
    live,
    model,
    plan,
    record,
    snapshot,
    the,
    training,
)


def test_a_plan_says_which_target_it_is_for() -> None:
    assert plan(fleet(), target="prod").target == "prod"


def test_what_is_in_sync_names_what_it_found() -> None:
    seen = converged()

    changes = plan(fleet(), seen).changes

    assert all(change.action is Action.NOOP for change in changes)
    assert [change.before for change in changes] == list(seen.live)


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.DELETING, Phase.UNKNOWN])
def test_what_is_waited_for_is_named_with_its_phase(phase: Phase) -> None:
    found = live(endpoint(), phase, since=NOW)

    (change,) = plan((endpoint(),), snapshot(found)).changes

    assert (change.action, change.reason, change.detail) == (Action.WAIT, Reason.IN_PROGRESS, phase.value)
    assert (change.kind, change.before) == ("endpoint", found)


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.DELETING, Phase.UNKNOWN])
def test_a_run_that_is_waited_for_is_named_with_its_phase(phase: Phase) -> None:
    found = live(training(), phase, since=NOW)

    (change,) = plan((training(),), snapshot(found)).changes

    assert (change.action, change.reason, change.detail) == (Action.WAIT, Reason.IN_PROGRESS, phase.value)
    assert change.before == found


@pytest.mark.parametrize("resource", [endpoint(), training()], ids=["thing", "run"])
def test_an_hour_to_the_second_is_not_yet_too_long(resource: Resource) -> None:
    found = live(resource, Phase.UNKNOWN, since=NOW - HOUR)

    still = the(plan((resource,), snapshot(found)), resource.address.role)
    later = the(plan((resource,), snapshot(found), now=NOW + 1), resource.address.role)

    assert still.action is Action.WAIT
    assert (later.action, later.reason, later.detail) == (Action.HOLD, Reason.STUCK, "unknown")


def test_what_goes_is_named_with_its_phase_when_git_does_not_want_it() -> None:
    found = live(endpoint(), Phase.DELETING, since=NOW)

    (change,) = plan((training("other"),), snapshot(found)).changes[:1]

    assert (change.action, change.kind, change.detail, change.before) == (Action.WAIT, "endpoint", "deleting", found)


def test_a_step_that_is_held_names_the_deployment() -> None:
    rollout = Rollout(steps=(10, 100), hold=600.0)
    new = deployment(version=2, rollout=rollout)
    stepped = live(new, spec={"max_replica_count": 1, "traffic": 10}, stepped=NOW - 60, created=NOW - 60)
    old = live(deployment(), spec={"max_replica_count": 1, "traffic": 90})
    others = tuple(live(one) for one in (model(version=2), endpoint()))

    change = the(
        plan(
            (training(version=2), model(version=2), endpoint(), new),
            snapshot(stepped, old, *others, records=(record(training(version=2)),)),
        ),
        Role.DEPLOYMENT,
    )

    assert (change.action, change.reason) == (Action.WAIT, Reason.STEP_HELD)
    assert (change.before, change.detail) == (stepped, "at 10 % for at least 10 minutes")


def test_what_waits_for_a_gap_says_so() -> None:
    new = deployment(version=2, rollout=Rollout(recreate=True))
    seen = (live(deployment()), live(model(version=2)), live(endpoint()))
    desired = (training(version=2), model(version=2), endpoint(), new)

    made = plan(desired, snapshot(*seen, records=(record(training(version=2)),)))

    waits, goes = (change for change in made.changes if change.address.role is Role.DEPLOYMENT)
    assert (waits.action, waits.reason) == (Action.WAIT, Reason.RECREATED)
    assert waits.detail == "nothing answers meanwhile"
    assert (goes.action, goes.reason, goes.after) == (Action.DELETE, Reason.RECREATED, None)


def test_machines_of_what_starts_no_training_are_allowed_like_one_run() -> None:
    seen = (live(model()), live(endpoint()))
    desired = (training(), model(), endpoint(), deployment(accelerators=2))

    made = plan(desired, snapshot(*seen, records=(record(training()),)), limits=Limits(new_accelerators=1))

    assert the(made, Role.DEPLOYMENT).detail == "2 accelerators taken in one plan: --allow-runs 1"


def test_what_is_updated_or_goes_takes_no_machines() -> None:
    wanted = (*fleet()[:3], deployment(accelerators=8, spec={"max_replica_count": 2, "traffic": 100}))
    leaving = live(endpoint("gone"))

    seen = converged()
    made = plan(wanted, replace(seen, live=(*seen.live, leaving)), limits=Limits(new_accelerators=0))

    assert {change.action for change in made.now} == {Action.UPDATE, Action.DELETE}


def test_what_is_deleted_or_cancelled_is_named_with_its_kind_and_needs_no_further_word() -> None:
    seen = snapshot(live(endpoint("gone")), live(training("left", 3), Phase.RUNNING))

    made = plan((training(),), seen)

    said = [(change.kind, change.action, change.detail) for change in made.changes if change.after is None]
    assert said == [("endpoint", Action.DELETE, ""), ("custom_job", Action.CANCEL, "")]


def test_an_experiment_of_two_former_names_is_adopted_from_both() -> None:
    wanted = model("new")
    versions = [live(model("new", version), adopted_from=name) for version, name in ((1, "ant"), (2, "bee"))]

    change = the(
        plan((training("new"), wanted), snapshot(*versions, records=(record(training("new")),))), Role.MODEL, "new"
    )

    assert (change.action, change.detail) == (Action.UPDATE, "adopted from ant, bee")


def test_a_step_that_comes_with_an_adoption_keeps_its_time() -> None:
    new = live(deployment(), adopted_from="ant", spec={"max_replica_count": 1, "traffic": 0})
    seen = snapshot(new, live(model()), live(endpoint()), records=(record(training()),))

    change = the(plan(fleet(), seen), Role.DEPLOYMENT)

    assert (change.action, change.stamps) == (Action.UPDATE, {STEPPED: str(int(NOW))})


@pytest.mark.parametrize(("bound", "verdict"), [("eval_loss <= 1.2", "passed"), ("eval_loss <= 0.5", "failed")])
@pytest.mark.parametrize(("label", "before"), [("failed-0a1b-2c", "failed"), ("", None)])
def test_another_gate_gives_a_registered_model_another_verdict(
    bound: str, verdict: str, label: str, before: str | None
) -> None:
    asked = gate(bound)
    registered = live(model(), outputs={"gate": label})
    desired = (training(), model(), endpoint(), deployment(gate=asked))

    change = the(plan(desired, snapshot(registered, live(endpoint()), records=(record(training()),))), Role.MODEL)

    assert (change.action, change.reason) == (Action.UPDATE, Reason.JUDGED)
    assert change.fields == (FieldChange("gate", before, verdict, "label"),)
    assert change.stamps == {GATE: label_of(asked.text, training().stamp, passed=verdict == "passed")}


def test_several_older_ones_without_strangers_make_room_together() -> None:
    new = deployment(version=3, rollout=Rollout(recreate=True))
    older = [live(deployment(version=version)) for version in (1, 2)]
    desired = (training(version=3), model(version=3), endpoint(), new)
    seen = snapshot(*older, live(model(version=3)), live(endpoint()), records=(record(training(version=3)),))

    gone = [change.before for change in plan(desired, seen).now]

    assert sorted(item.name for item in gone if item) == sorted(item.name for item in older)


def test_an_endpoint_that_leaves_waits_for_what_is_on_it_and_says_so() -> None:
    made = plan((training("other"),), snapshot(live(endpoint()), live(deployment())))

    (change,) = [one for one in made.changes if one.address.role is Role.ENDPOINT]

    assert (change.action, change.reason, change.detail) == (
        Action.WAIT,
        Reason.PREREQUISITE,
        "until its deployments are gone",
    )
    assert change.waits_on == (at(Role.DEPLOYMENT),)


def test_tries_of_an_earlier_attempt_do_not_use_up_those_of_this_one() -> None:
    stockout = Failure(Cause.STOCKOUT, "no machines")
    jobs = [
        live(
            training(),
            Phase.FAILED,
            name=f"job-{number}",
            failure=stockout,
            attempt_key="second" if number == 9 else "first",
            created=NOW - HOUR * (10 - number),
            since=NOW - HOUR * (10 - number),
        )
        for number in range(10)
    ]

    change = the(plan((training(attempt_key="second"),), snapshot(*jobs)), Role.TRAINING)

    assert (change.action, change.reason) == (Action.CREATE, Reason.RETRY)
