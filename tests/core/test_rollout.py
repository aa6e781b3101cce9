"""How a new deployment takes over: by steps with least times, or after a gap."""

from __future__ import annotations

from typing import Any

from reconciler.core.changes import Action, FieldChange, Plan, Reason
from reconciler.core.resources import LiveResource, Phase, Resource, Role, Rollout
from tests.core.builders import NOW, at, deployment, endpoint, live, model, plan, record, snapshot, the, training

STEPS = Rollout(steps=(10, 50, 100), hold=600.0)


def rolling(share: int, stepped: float = 0.0, rollout: Rollout | None = STEPS, older: int = 100, **more: Any) -> Plan:
    """A second version beside the first, with `share` percent of the traffic since `stepped`."""
    wanted = deployment(version=2, rollout=rollout)
    things = [live(endpoint()), live(model())]
    things.append(live(wanted, spec={"max_replica_count": 1, "traffic": share}, stepped=stepped))
    if older >= 0:
        things.append(live(deployment(), spec={"max_replica_count": 1, "traffic": older}))
    return plan(desired(wanted), snapshot(*things, records=(record(training()),)), **more)


def desired(wanted: Resource) -> tuple[Resource, ...]:
    return training(), model(), endpoint(), wanted


def step(made: Plan) -> tuple[Any, ...]:
    return tuple((item.before, item.after) for item in the(made, Role.DEPLOYMENT).fields if item.path == "traffic")


def test_a_new_deployment_gets_its_first_share_at_once() -> None:
    made = rolling(0)

    assert step(made) == ((0, 10),)
    assert the(made, Role.DEPLOYMENT).stamps == {"loraform-stepped": str(int(NOW))}


def test_a_step_is_kept_for_its_least_time() -> None:
    made = rolling(10, stepped=NOW - 599)

    assert the(made, Role.DEPLOYMENT).action is Action.WAIT
    assert the(made, Role.DEPLOYMENT).reason is Reason.STEP_HELD
    assert the(made, Role.DEPLOYMENT).detail == "at 10 % for at least 10 minutes"
    assert not made.now


def test_after_its_least_time_the_next_step_follows() -> None:
    assert step(rolling(10, stepped=NOW - 600)) == ((10, 50),)
    assert step(rolling(50, stepped=NOW - 600)) == ((50, 100),)


def test_a_share_between_two_steps_goes_to_the_next_one() -> None:
    assert step(rolling(33)) == ((33, 50),)


def test_steps_that_end_early_end_with_everything() -> None:
    assert step(rolling(10, rollout=Rollout(steps=(10,)))) == ((10, 100),)


def test_without_anything_that_serves_there_is_nothing_to_be_careful_about() -> None:
    assert step(rolling(0, older=0)) == ((0, 100),)
    assert step(rolling(0, older=-1)) == ((0, 100),)


def test_other_settings_do_not_wait_for_a_step() -> None:
    wanted = deployment(version=2, rollout=STEPS, spec={"max_replica_count": 3, "traffic": 100})
    new = live(wanted, spec={"max_replica_count": 1, "traffic": 10}, stepped=NOW)
    seen = snapshot(live(endpoint()), live(model()), new, live(deployment()), records=(record(training()),))

    made = plan(desired(wanted), seen)

    assert the(made, Role.DEPLOYMENT).fields == (FieldChange("serving.max_replica_count", 1, 3, "in_place"),)
    assert the(made, Role.DEPLOYMENT).stamps == {}


def test_the_forecast_shows_every_step_and_the_end_of_the_old_one() -> None:
    made = rolling(0)

    shares = [item.after for change in (*made.now, *made.follow) for item in change.fields]
    assert shares == [10, 50, 100]
    assert [change.action for change in made.follow][-1] is Action.DELETE


def test_the_old_one_goes_first_where_there_is_no_second_machine() -> None:
    wanted = deployment(version=2, rollout=Rollout(recreate=True))
    seen = snapshot(live(endpoint()), live(model()), live(deployment()), records=(record(training()),))

    made = plan(desired(wanted), seen)

    assert the(made, Role.DEPLOYMENT).action is Action.WAIT
    assert the(made, Role.DEPLOYMENT).detail == "nothing answers meanwhile"
    assert [(change.action, change.reason, change.before) for change in made.now] == [
        (Action.DELETE, Reason.RECREATED, older(seen.live)),
    ]
    assert [str(change.action) for change in made.follow] == ["create", "update"]


def test_nothing_is_recreated_beside_a_stranger_that_would_get_all_of_the_traffic() -> None:
    wanted = deployment(version=2, rollout=Rollout(recreate=True))
    old = live(deployment(), spec={"max_replica_count": 1, "traffic": 100}, outputs={"foreign": 30})

    made = plan(desired(wanted), snapshot(live(endpoint()), live(model()), old, records=(record(training()),)))

    assert (the(made, Role.DEPLOYMENT).action, the(made, Role.DEPLOYMENT).reason) == (Action.HOLD, Reason.IN_USE)
    assert "have 30 %" in the(made, Role.DEPLOYMENT).detail
    assert not made.now
    assert not made.follow


def test_a_way_back_to_what_served_before_has_no_steps() -> None:
    older = deployment(rollout=STEPS)
    things = [live(endpoint()), live(model())]
    things.append(live(older, spec={"max_replica_count": 1, "traffic": 50}, stepped=NOW - 1, created=NOW - 99))
    things.append(live(deployment(version=2), spec={"max_replica_count": 1, "traffic": 50}, created=NOW - 9))

    made = plan(desired(older), snapshot(*things, records=(record(training()),)))

    assert step(made) == ((50, 100),)
    assert [change.reason for change in made.follow] == [Reason.SUPERSEDED]


def test_a_third_version_takes_its_steps_beside_the_two_that_serve() -> None:
    third = deployment(version=3, rollout=STEPS)
    things = [live(endpoint()), live(model())]
    things.append(live(third, spec={"max_replica_count": 1, "traffic": 0}, created=NOW - 1))
    things.append(live(deployment(version=2), spec={"max_replica_count": 1, "traffic": 10}, created=NOW - 9))
    things.append(live(deployment(), spec={"max_replica_count": 1, "traffic": 90}, created=NOW - 99))

    made = plan(desired(third), snapshot(*things, records=(record(training()),)))

    assert step(made) == ((0, 10),)
    shares = [item.after for change in made.follow for item in change.fields]
    assert shares == [50, 100]
    assert [change.action for change in made.follow].count(Action.DELETE) == 2


def test_a_recreation_is_a_plain_create_once_the_machine_is_free() -> None:
    wanted = deployment(rollout=Rollout(recreate=True))

    made = plan(desired(wanted), snapshot(live(endpoint()), live(model()), records=(record(training()),)))

    assert the(made, Role.DEPLOYMENT).action is Action.CREATE


def older(things: tuple[LiveResource, ...]) -> LiveResource:
    return next(thing for thing in things if thing.address == at(Role.DEPLOYMENT))


def test_a_deploy_that_is_under_way_is_foreseen_to_stand_in_the_way_of_a_recreation() -> None:
    wanted = deployment(version=2, rollout=Rollout(recreate=True))
    under_way = live(deployment(), Phase.PENDING, history=True)
    seen = snapshot(live(endpoint()), under_way, records=(record(training()),))

    made = plan(desired(wanted), seen)

    assert [(change.action, change.reason) for change in made.follow if change.address == at(Role.DEPLOYMENT)][:1] == [
        (Action.DELETE, Reason.RECREATED)
    ]
