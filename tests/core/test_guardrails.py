from reconciler.core.changes import Action, Reason
from reconciler.core.guardrails import Limits
from reconciler.core.resources import Role
from tests.core.builders import converged, deployment, endpoint, live, model, plan, snapshot, training


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


def test_the_guard_holds_nothing_else() -> None:
    made = plan((*starting(6), endpoint("other")))

    assert [change.address.role for change in made.now] == [Role.ENDPOINT]
