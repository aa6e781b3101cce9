"""How traffic moves on real endpoints: in steps, beside strangers, against somebody else's hand, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.backends import payloads
from reconciler.cloud.apply import apply_plan
from reconciler.cloud.reconcile import Pass, Wish, look
from reconciler.cloud.site import Site
from reconciler.core.calls import Call
from reconciler.core.changes import Action, Reason
from reconciler.core.report import Outcome
from reconciler.core.resources import Json, Resource, Role, Rollout
from reconciler.core.target import Target
from tests.cloud.story import actions, already_trained, calm, endpoints, jobs, messages, settle
from tests.cloud.wishes import MACHINE, whole
from tests.emulator_fixture import emulator_calls, forget_calls

pytestmark = pytest.mark.slow

STEPS = Rollout(steps=(10, 50, 100), hold=600.0)


def stepwise(target: Target, r: int, rollout: Rollout = STEPS) -> tuple[Resource, ...]:
    *rest, deployment = whole(target, r=r)
    return (*rest, replace(deployment, rollout=rollout))


def trained(site: Site, *wishes: tuple[Resource, ...]) -> None:
    for desired in wishes:
        already_trained(site, desired[0])


def split(site: Site) -> dict[str, int]:
    """The shares of the endpoint by what has them: the first six digits of ours, the names of others."""
    (endpoint,) = endpoints(site)
    shares = payloads.mapping(endpoint, "traffic_split")
    return {
        payloads.text(item, "display_name").removeprefix("lf-"): payloads.integer(shares, payloads.text(item, "id"))
        for item in payloads.messages(endpoint, "deployed_models")
    }


def done_all(site: Site, method: str, request: dict[str, Json]) -> None:
    """What somebody else does by hand."""
    answer = site.vertex.perform(Call("EndpointService", method, request))
    if "/operations/" in str(answer.get("name", "")):
        assert site.vertex.wait(answer, 20.0) is not None


def move(site: Site, shares: dict[str, int]) -> None:
    """Somebody else moves the traffic, by display name."""
    (endpoint,) = endpoints(site)
    ids = {
        payloads.text(item, "display_name").removeprefix("lf-"): payloads.text(item, "id")
        for item in payloads.messages(endpoint, "deployed_models")
    }
    body: Json = {"name": endpoint["name"], "traffic_split": {ids[name]: share for name, share in shares.items()}}
    done_all(site, "UpdateEndpoint", {"endpoint": body, "update_mask": "trafficSplit"})


def add_stranger(site: Site) -> None:
    """Somebody deploys the same model under a name of their own, and gives it 30 %."""
    (endpoint,) = endpoints(site)
    (ours,) = payloads.messages(endpoint, "deployed_models")
    resources: Json = {"machine_spec": MACHINE, "min_replica_count": 1, "max_replica_count": 1}
    deployed: Json = {"model": ours["model"], "display_name": "theirs", "dedicated_resources": resources}
    done_all(site, "DeployModel", {"endpoint": endpoint["name"], "deployed_model": deployed})
    move(site, {"theirs": 30, payloads.text(ours, "display_name").removeprefix("lf-"): 70})


def stepped(seen: Pass) -> tuple[object, ...]:
    """The shares that the deployment's change goes between."""
    changes = [change for change in seen.plan.changes if change.address.role is Role.DEPLOYMENT]
    return tuple((item.before, item.after) for change in changes for item in change.fields if item.path == "traffic")


def test_a_roll_out_takes_its_steps_no_sooner_than_it_may(site: Site, later: Callable[[float], Site]) -> None:
    old, new = stepwise(site.target, 8), stepwise(site.target, 16)
    trained(site, old, new)
    settle(site, old)
    one, two = old[3].stamp, new[3].stamp

    at_ten = calm(site, new)
    shares = [split(site)]
    calm(later(300), new)
    shares.append(split(site))
    calm(later(610), new)
    shares.append(split(site))
    last = settle(later(1230), new)

    assert at_ten.plan.changes[-1].reason is Reason.STEP_HELD
    assert shares == [{one: 90, two: 10}, {one: 90, two: 10}, {one: 50, two: 50}]
    assert split(site) == {two: 100}
    assert set(actions(last).values()) == {Action.NOOP}, messages(last)


def test_traffic_that_somebody_moved_meanwhile_is_not_overwritten(site: Site, later: Callable[[float], Site]) -> None:
    old, new = stepwise(site.target, 8), stepwise(site.target, 16)
    trained(site, old, new)
    settle(site, old)
    calm(site, new)
    one, two = old[3].stamp, new[3].stamp
    afterwards = later(610)
    seen = look(afterwards, Wish(new))
    move(site, {one: 95, two: 5})

    report = apply_plan(seen.plan, seen.snapshot, afterwards, by="a person with an old plan")

    moved = next(result for result in report.results if result.change.address.role is Role.DEPLOYMENT)
    assert stepped(seen) == ((10, 50),)
    assert moved.outcome is Outcome.WAITING
    assert "it changed meanwhile, the next pass looks again" in moved.message
    assert split(site) == {one: 95, two: 5}
    assert stepped(look(afterwards, Wish(new))) == ((5, 10),)


def test_a_model_of_somebody_else_keeps_its_share_from_the_first_step_to_the_last(
    site: Site, later: Callable[[float], Site]
) -> None:
    old, new = stepwise(site.target, 8), stepwise(site.target, 16)
    trained(site, old, new)
    settle(site, old)
    add_stranger(site)
    one, two = old[3].stamp, new[3].stamp

    beside = look(site, Wish(old))
    calm(site, new)
    shares = [split(site)]
    calm(later(610), new)
    shares.append(split(site))
    settle(later(1230), new)
    shares.append(split(site))
    reverted = settle(later(9000), old)
    for seconds in (10_000, 11_000, 12_000):
        reverted = settle(later(seconds), old)
    shares.append(split(site))

    assert set(actions(beside).values()) == {Action.NOOP}
    assert shares == [
        {one: 63, "theirs": 30, two: 7},
        {one: 35, "theirs": 30, two: 35},
        {"theirs": 30, two: 70},
        {"theirs": 30, one: 70},
    ]
    assert set(actions(reverted).values()) == {Action.NOOP}


def test_a_roll_out_that_is_reverted_half_way_goes_back_at_once(site: Site, later: Callable[[float], Site]) -> None:
    old, new = stepwise(site.target, 8), stepwise(site.target, 16)
    trained(site, old, new)
    settle(site, old)
    calm(site, new)
    calm(later(610), new)
    half = split(site)

    back = look(later(611), Wish(old))
    last = settle(later(611), old)

    assert set(half.values()) == {50}
    assert stepped(back) == ((50, 100),)
    assert split(site) == {old[3].stamp: 100}
    assert set(actions(last).values()) == {Action.NOOP}
    assert jobs(site) == []


def test_a_third_version_goes_through_its_own_steps_while_the_second_stands_at_ten(
    site: Site, later: Callable[[float], Site]
) -> None:
    old, new, third = (stepwise(site.target, r) for r in (8, 16, 32))
    trained(site, old, new, third)
    settle(site, old)
    calm(site, new)
    one, two, three = old[3].stamp, new[3].stamp, third[3].stamp

    calm(later(30), third)
    shares = [split(site)]
    calm(later(650), third)
    shares.append(split(site))
    last = settle(later(1300), third)

    assert shares == [{one: 81, two: 9, three: 10}, {one: 45, two: 5, three: 50}]
    assert split(site) == {three: 100}
    assert set(actions(last).values()) == {Action.NOOP}, messages(last)


def test_recreation_is_held_beside_a_stranger_and_done_without_one(site: Site, url: str) -> None:
    again = Rollout(recreate=True)
    old, new = stepwise(site.target, 8, again), stepwise(site.target, 16, again)
    trained(site, old, new)
    settle(site, old)
    add_stranger(site)

    held = settle(site, new)
    before = split(site)
    move(site, {old[3].stamp: 100, "theirs": 0})
    forget_calls(url)
    done = settle(site, new)

    assert actions(held)["deployment"] is Action.HOLD
    assert before == {old[3].stamp: 70, "theirs": 30}
    assert split(site) == {new[3].stamp: 100, "theirs": 0}
    assert set(actions(done).values()) == {Action.NOOP}
    order = [call["method"].rsplit(".", 1)[-1] for call in emulator_calls(url)]
    assert order.index("UndeployModel") < order.index("DeployModel")
