"""Every law can be broken: a system that does wrong, or a world that lets it, is caught by the law that it offends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from reconciler.backends.registry import KINDS
from reconciler.cloud.reconcile import Pass
from reconciler.cloud.site import Site
from reconciler.core.calls import Call, Scene
from reconciler.core.changes import Action, Change, Plan, Reason
from reconciler.core.report import Outcome, Report
from reconciler.core.resources import Role
from reconciler.emulator.wire.codec import parse
from tests.factories_manifest import document
from tests.soak.actors import Actor
from tests.soak.cloud import BUCKET, PARENT, open_cloud
from tests.soak.convergence import check_forecast, converge, in_forecast, quiet
from tests.soak.history import HOME, History
from tests.soak.laws import Broken
from tests.soak.repository import TARGETS, Tree, tree_of
from tests.soak.trainers import Trainers

TRAINS: Tree = tree_of(document("ape", serving=None))
SERVES: Tree = tree_of(document("ape"))
STRANGER = f"{PARENT}/endpoints/theirs"


class Steady(Random):
    """Neither lucky nor unlucky: what can begin begins, what works goes on."""

    def random(self) -> float:
        return 0.3


class Idle(Trainers):
    """Trainers that never begin."""

    def go_on(self, random: Random, *, well: bool) -> list[str]:
        return []


@pytest.fixture
def history() -> Iterator[History]:
    with open_cloud() as cloud:
        yield History(cloud)


def test_a_second_live_job_of_an_identity(history: History) -> None:
    plan = applied(history, TRAINS)

    with pytest.raises(Broken, match="made a second live job of"):
        rogue(history, lambda site: send(site, created(plan, Role.TRAINING)), plan)


def test_a_job_for_what_is_trained_already(history: History) -> None:
    plan = applied(history, TRAINS)
    for _ in range(3):
        history.work(Random(0), well=True)

    with pytest.raises(Broken, match="which was trained before it began"):
        rogue(history, lambda site: send(site, created(plan, Role.TRAINING)), plan)


def test_two_trainers_of_one_identity(history: History) -> None:
    (call,) = calls_of(created(applied(history, TRAINS), Role.TRAINING))
    history.trainers.go_on(Steady(), well=False)
    history.cloud.perform("JobService.CreateCustomJob", parse(dict(call.request), "CreateCustomJobRequest"))
    for item in history.cloud.buckets.list_objects(BUCKET).items:
        if item.name.endswith(".lock"):
            history.cloud.buckets.delete(BUCKET, item.name)
    history.trainers.go_on(Steady(), well=False)

    with pytest.raises(Broken, match="two trainers of acme/"):
        history.laws.after_step(history.trainers)


def test_an_endpoint_without_traffic_that_had_some(history: History) -> None:
    served(history)
    (endpoint,) = [one for one in history.cloud.endpoints() if one.labels["loraform-fleet"] == HOME]
    body = {"endpoint": endpoint.name, "deployedModelId": endpoint.deployed_models[0].id}
    history.cloud.perform("EndpointService.UndeployModel", parse(body, "UndeployModelRequest"))

    with pytest.raises(Broken, match="the endpoint of ape served and does so no more"):
        history.laws.look_at_traffic()


def test_a_call_about_another_fleets_endpoint(history: History) -> None:
    call = Call("EndpointService", "DeleteEndpoint", {"name": STRANGER})

    with pytest.raises(Broken, match="DeleteEndpoint of what is not its fleet's"):
        rogue(history, lambda site: site.vertex.perform(call))


def test_another_fleets_endpoint_that_has_changed(history: History) -> None:
    body = {"endpoint": {"name": STRANGER, "displayName": "ours now"}, "updateMask": "displayName"}
    history.cloud.perform("EndpointService.UpdateEndpoint", parse(body, "UpdateEndpointRequest"))

    with pytest.raises(Broken, match="something that is not ours was touched"):
        history.laws.after_step(history.trainers)


def test_an_object_written_outside_the_folder_of_the_fleet(history: History) -> None:
    with pytest.raises(Broken, match="which is not its fleet's"):
        rogue(history, lambda site: site.storage.write("loraform/other/lease.json", b"", generation=0))


def test_a_run_record_deleted(history: History) -> None:
    with pytest.raises(Broken, match="which is there for good"):
        rogue(history, lambda site: site.storage.delete("loraform/acme/runs/0.json"))


def test_something_deleted_that_the_plan_does_not_name(history: History) -> None:
    plan = served(history)
    (endpoint,) = [change.before for change in plan.changes if change.address.role is Role.ENDPOINT]
    assert endpoint is not None
    call = Call("EndpointService", "DeleteEndpoint", {"name": endpoint.name})

    with pytest.raises(Broken, match=r"DeleteEndpoint of .*, which its plan does not name"):
        rogue(history, lambda site: site.vertex.perform(call), plan)


def test_something_deleted_by_hand_that_nobody_asked_for(history: History) -> None:
    served(history)
    actor = history.by_hand(Random(0), "destroy", "bee")
    site = history.site(actor, Random(0))
    (endpoint,) = [one for one in history.cloud.endpoints() if one.labels["loraform-fleet"] == HOME]
    call = Call("EndpointService", "DeleteEndpoint", {"name": endpoint.name})
    actor.work = lambda: site.vertex.perform(call)

    with pytest.raises(Broken, match="which nobody asked for"):
        history.let_run([actor], Random(0), calm=True)


def test_something_created_that_the_plan_does_not_name(history: History) -> None:
    plan = applied(history, SERVES)
    other = replace(plan, changes=tuple(change for change in plan.changes if change.address.role is not Role.ENDPOINT))

    with pytest.raises(Broken, match="CreateEndpoint for ape, which its plan does not name"):
        rogue(history, lambda site: send(site, created(plan, Role.ENDPOINT)), other)


def test_something_done_that_no_forecast_showed(history: History) -> None:
    history.commits.append(TRAINS)
    seen = quiet(history, 1)
    assert seen is not None

    with pytest.raises(Broken, match=r"ape/training create .* was in no forecast"):
        check_forecast(in_forecast(replace(seen.plan, changes=())), seen)


def test_something_that_fails_though_all_goes_well(history: History) -> None:
    history.commits.append(TRAINS)
    seen = quiet(history, 1)
    assert seen is not None
    failed = tuple(replace(one, outcome=Outcome.FAILED, message="no") for one in seen.results)

    with pytest.raises(Broken, match="ape/training create fails when all goes well: no"):
        check_forecast(in_forecast(seen.plan), Pass(seen.snapshot, seen.plan, Report(seen.plan, failed)))


def test_a_fleet_that_never_comes_to_rest(history: History) -> None:
    history.commits.append(TRAINS)
    history.trainers = Idle(history.cloud)

    with pytest.raises(Broken, match="not at rest after 40 passes: ape/training wait"):
        converge(history)


def test_something_held_at_the_end_that_nobody_wanted_held(history: History) -> None:
    plan = served(history)
    held = replace(plan.changes[0], action=Action.HOLD, reason=Reason.FAILED)

    with pytest.raises(Broken, match="ape/training is held at the end: failed"):
        history.laws.at_rest(replace(plan, changes=(held,)), HOME)


def test_a_deployment_in_sync_at_the_end_without_traffic(history: History) -> None:
    plan = served(history)
    history.laws.served.clear()

    with pytest.raises(Broken, match="ape/deployment is in sync at the end and has no traffic"):
        history.laws.at_rest(plan, HOME)


def test_an_exception_that_is_no_error_of_ours(history: History) -> None:
    with pytest.raises(Broken, match="ZeroDivisionError"):
        rogue(history, lambda site: 1 // 0)


def test_a_law_that_one_of_two_actors_breaks_ends_both(history: History) -> None:
    history.commits.append(TRAINS)
    good, bad = (history.begin(Random(0), TRAINS) for _ in range(2))
    site = history.site(bad, Random(0))
    bad.work = lambda: site.storage.delete("loraform/acme/runs/0.json")

    with pytest.raises(Broken, match="which is there for good"):
        history.let_run([good, bad], Random(0), calm=True)

    assert good.over
    assert bad.over


def applied(history: History, tree: Tree) -> Plan:
    """One pass without faults; its plan."""
    history.commits.append(tree)
    actor = history.begin(Random(0), tree)
    history.let_run([actor], Random(0), calm=True)
    assert actor.plan is not None
    return actor.plan


def served(history: History) -> Plan:
    """Passes until all serves; the last plan."""
    history.commits.append(SERVES)
    last = quiet(history, 40)
    assert last is not None
    assert last.settled
    return last.plan


def rogue(history: History, work: Callable[[Site], Any], plan: Plan | None = None) -> Actor:
    """An applier that does something else than it should."""
    actor = history.begin(Random(0), history.commits[-1])
    site = history.site(actor, Random(0))
    actor.work, actor.plan = (lambda: work(site)), plan
    history.let_run([actor], Random(0), calm=True)
    return actor


def created(plan: Plan, role: Role) -> Change:
    (change,) = [one for one in plan.changes if one.address.role is role and one.action is Action.CREATE]
    return change


def calls_of(change: Change) -> tuple[Call, ...]:
    return KINDS[change.kind].create(change, Scene(TARGETS[HOME].parent, HOME, {}, {}))


def send(site: Site, change: Change) -> None:
    for call in calls_of(change):
        site.vertex.perform(call)
