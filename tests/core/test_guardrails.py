from dataclasses import replace

from reconciler.core.changes import Action, Reason
from reconciler.core.guardrails import Limits
from reconciler.core.resources import Declared, Resource, Role, Snapshot
from tests.core.builders import (
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


def starting(count: int):
    return tuple(training(f"bot-{n}", version=n) for n in range(count))


def leaving(count: int):
    return snapshot(*(live(deployment(f"bot-{n}")) for n in range(count)))


def test_five_training_starts_are_allowed_and_a_sixth_holds_all() -> None:
    fine = plan(starting(5))
    too_many = plan(starting(6))

    assert len(fine.now) == 5
    assert not too_many.now
    assert {change.reason for change in too_many.changes} == {Reason.GUARD}
    assert too_many.changes[0].detail == "6 training starts in one plan: --allow-runs 6"


def test_a_person_may_allow_more_starts() -> None:
    assert len(plan(starting(6), limits=Limits(allow_runs=6)).now) == 6


def test_more_accelerators_than_the_limit_hold_what_takes_them() -> None:
    desired = (training("ant", 1, accelerators=8), training("bee", 2, accelerators=1), training("cow", 3))

    held = plan(desired, limits=Limits(new_accelerators=8))
    fine = plan(desired, limits=Limits(new_accelerators=9))
    allowed = plan(desired, limits=Limits(new_accelerators=8, allow_runs=3))

    assert [change.address.experiment for change in held.now] == ["cow"]
    assert held.changes[0].detail == "9 accelerators taken in one plan: --allow-runs 3"
    assert len(fine.now) == len(allowed.now) == 3


def test_deleting_for_more_experiments_than_the_limit_holds_them() -> None:
    made = plan((), leaving(6))

    assert not made.now
    assert made.changes[0].detail == "6 experiments lose something: --allow-delete bot-0"


def test_naming_an_experiment_allows_its_deletion() -> None:
    made = plan((), leaving(6), limits=Limits(allow_delete=frozenset({"bot-0"})))

    assert len(made.now) == 6


def test_a_large_fleet_may_lose_its_share() -> None:
    others = tuple(make(f"keep-{n}", version=n) for n in range(40) for make in (training,))

    made = plan(others, leaving(8), limits=Limits(allow_runs=40))

    assert len([change for change in made.now if change.action is Action.DELETE]) == 8


def test_a_superseded_deployment_is_no_loss() -> None:
    names = [f"bot-{n}" for n in range(7)]
    desired = tuple(make(name) for name in names for make in (training, model, endpoint, deployment))
    seen = [thing for name in names for thing in converged(name).live]
    older = [live(deployment(name, version=2)) for name in names]

    made = plan(desired, snapshot(*seen, *older, records=tuple(converged().records.values())))

    assert len([change for change in made.now if change.action is Action.DELETE]) == 7


def in_image(image: str, names: list[str]) -> tuple[Resource, ...]:
    declared = {"images.serve": Declared(image, "version")}
    version = 2 if image == "new" else 1
    return tuple(
        one
        for name in names
        for one in (
            training(name),
            model(name, version, fields=declared),
            endpoint(name),
            deployment(name, version),
        )
    )


def serving(names: list[str]) -> Snapshot:
    seen = [
        live(one, declared={"images.serve": "old"} if one.address.role is Role.MODEL else {})
        for one in in_image("old", names)
    ]
    return snapshot(*seen, records=(record(training()),))


def test_an_image_that_rolls_more_than_a_fifth_of_the_deployments_is_held_and_its_forecast_with_it() -> None:
    names = [f"bot-{n}" for n in range(5)]

    held = plan(in_image("new", names), serving(names))
    allowed = plan(in_image("new", names), serving(names), limits=Limits(allow_rolls=5))
    too_few = plan(in_image("new", names), serving(names), limits=Limits(allow_rolls=4))

    assert not held.now
    assert not held.follow
    assert the(held, Role.MODEL, "bot-0").detail == "another image for 5 of 5 deployments: --allow-rolls 5"
    assert len(allowed.now) == 5
    assert not too_few.now


def test_one_named_experiment_may_try_an_image_and_what_does_not_serve_counts_for_nothing() -> None:
    names = [f"bot-{n}" for n in range(5)]

    one = plan(in_image("new", names), serving(names), only=("bot-3",))
    idle = plan(in_image("new", names), serving([]))

    assert [(change.address.experiment, change.address.role) for change in one.now] == [("bot-3", Role.MODEL)]
    assert len([change for change in idle.now if change.address.role is Role.ENDPOINT]) == 5


def test_exactly_a_fifth_of_the_deployments_may_be_rolled() -> None:
    names = [f"bot-{n}" for n in range(5)]
    desired = (*in_image("new", names[:1]), *in_image("old", names[1:]))

    made = plan(desired, serving(names))

    assert the(made, Role.MODEL, "bot-0").action is Action.CREATE


def test_another_image_for_what_was_registered_and_never_served_rolls_nothing() -> None:
    names = [f"bot-{n}" for n in range(5)]
    registered = tuple(one for one in serving(names).live if one.address.role is not Role.DEPLOYMENT)

    made = plan(in_image("new", names), snapshot(*registered, records=(record(training()),)))

    assert {the(made, Role.MODEL, name).action for name in names} == {Action.CREATE}


def test_another_image_of_the_trainer_rolls_nothing() -> None:
    seen = serving(["bot"])
    old = live(training(), declared={"images.train": "old"})
    new = training(version=2, fields={"images.train": Declared("new", "retrain")})

    made = plan((new, *in_image("old", ["bot"])[1:]), replace(seen, live=(*seen.live[1:], old), records={}))

    assert the(made, Role.TRAINING).action is Action.CREATE


def test_another_engine_is_no_other_image() -> None:
    wanted = (training(), model(version=2, fields={"serving.engine": Declared(1, "version")}), *fleet_end())
    seen = converged()
    older = tuple(replace(one, declared={"serving.engine": 2}) for one in seen.live)

    made = plan(wanted, snapshot(*older, records=tuple(seen.records.values())))

    assert the(made, Role.MODEL).action is Action.CREATE


def fleet_end() -> tuple[Resource, ...]:
    return endpoint(), deployment(version=2)


def test_the_guard_holds_nothing_else() -> None:
    made = plan((*starting(6), endpoint("other")))

    assert [change.address.role for change in made.now] == [Role.ENDPOINT]


def test_what_waits_for_something_that_is_held_is_held_too_up_the_chain() -> None:
    made = plan(fleet(), limits=Limits(new_runs=0))

    actions = {change.address.role: (change.action, change.reason) for change in made.changes}
    assert actions[Role.TRAINING] == (Action.HOLD, Reason.GUARD)
    assert actions[Role.MODEL] == actions[Role.DEPLOYMENT] == (Action.HOLD, Reason.PREREQUISITE)
    assert actions[Role.ENDPOINT] == (Action.CREATE, Reason.ABSENT)


def test_an_endpoint_is_held_with_the_deployment_whose_removal_is_too_much() -> None:
    made = plan((), converged(), limits=Limits(deletes=0, delete_share=0.0))

    assert [(change.address.role, change.action, change.detail) for change in made.changes] == [
        (Role.ENDPOINT, Action.HOLD, "deployment is held"),
        (Role.DEPLOYMENT, Action.HOLD, "1 experiments lose something: --allow-delete bot"),
    ]
