"""What a change says beside its action: which live object it is about, its kind, and the words for a person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.changes import Action, Reason
from reconciler.core.guardrails import Limits
from reconciler.core.resources import Phase, Resource, Role, Rollout
from tests.core.builders import (
    HOUR,
    NOW,
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
