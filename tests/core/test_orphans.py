"""What is live and of no use, and the plan that removes it and nothing else."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.changes import Action
from reconciler.core.orphans import orphans, removal_plan
from reconciler.core.resources import Phase, Role
from tests.core.builders import converged, deployment, fleet, live, plan, record, snapshot, training


def test_what_is_not_in_git_is_an_orphan_and_its_history_is_not() -> None:
    seen = converged("gone")

    found = orphans(plan(fleet("bot"), seen), seen)

    assert [(item.live.address.role, item.why) for item in found] == [
        (Role.ENDPOINT, "not in git"),
        (Role.DEPLOYMENT, "not in git"),
    ]


def test_a_protected_orphan_says_so() -> None:
    seen = converged("gone")
    seen = replace(seen, live=tuple(replace(item, protect=True) for item in seen.live))

    found = orphans(plan(fleet("bot"), seen), seen)

    assert {item.why for item in found} == {"not in git; protected"}


def test_a_run_that_another_experiment_wants_is_no_orphan() -> None:
    seen = snapshot(live(training("gone"), Phase.RUNNING), live(training("lost", 9), Phase.RUNNING))

    found = orphans(plan(fleet("bot"), seen), seen)

    assert [item.live.address.experiment for item in found] == ["lost"]


def test_an_older_deployment_without_traffic_is_an_orphan_and_one_with_traffic_is_not() -> None:
    idle = live(deployment(version=2), spec={"traffic": 0})
    busy = live(deployment(version=3), spec={"traffic": 20})
    failed = live(deployment(version=4), Phase.FAILED)
    seen = replace(converged(), live=(*converged().live, idle, busy, failed))

    found = orphans(plan(fleet(), seen), seen)

    assert [(item.live.name, item.why) for item in found] == [(idle.name, "serves 0 %, and git wants another one")]


def test_the_removal_plan_holds_removals_alone() -> None:
    older = live(deployment(version=2), spec={"traffic": 0})
    gone = converged("gone")
    shielded = tuple(replace(item, protect=True) for item in converged("shielded", 3).live)
    running = live(training("stopped", 7), Phase.RUNNING)
    seen = snapshot(*converged().live, older, *gone.live, *shielded, running, records=(record(training()),))
    whole = plan((*fleet(), *fleet("fresh", 5)), seen)

    removal = removal_plan(whole)

    assert {(change.address.experiment, change.action) for change in removal.changes} == {
        ("bot", Action.DELETE),
        ("gone", Action.DELETE),
        ("gone", Action.WAIT),
        ("shielded", Action.HOLD),
        ("stopped", Action.CANCEL),
    }
    assert {(change.address.experiment, change.address.role) for change in removal.follow} == {("gone", Role.ENDPOINT)}
    assert removal.id != whole.id
