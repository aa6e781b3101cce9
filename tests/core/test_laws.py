"""The laws of the planner, searched for counter-examples by hypothesis."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.changes import Action, Change
from reconciler.core.forecast import HORIZON, forecast, imagine
from reconciler.core.resources import Cause, Failure, LiveResource, Phase, Record, Resource, Snapshot
from reconciler.core.table import decide
from reconciler.core.world import Patience, World, world_of
from tests.core.builders import NOW, claim, converged, deployment, endpoint, fleet, live, model, plan, record, training

NAMES = ("ant", "bee", "cow")
MAKERS = (training, model, endpoint, deployment)


@st.composite
def experiments(draw: st.DrawFn) -> tuple[Resource, ...]:
    """Some experiments with all four resources each; equal versions of a training are one and the same run."""
    chosen = draw(st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3), max_size=3))
    attempts = draw(st.sampled_from(["first", "second"]))
    return tuple(
        replace(make(name, version), attempt_key=attempts) for name, version in chosen.items() for make in MAKERS
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Any world of ours: old and new objects in every phase, records, pruned records, claims."""
    things: list[LiveResource] = []
    records: dict[str, Record] = {}
    claims = {}
    for name in NAMES:
        for make in MAKERS:
            for version in draw(st.sets(st.integers(1, 3), max_size=2)):
                resource = make(name, version)
                phase = draw(st.sampled_from(list(Phase)))
                failure = Failure(draw(st.sampled_from(list(Cause))), "it broke") if phase is Phase.FAILED else None
                share = draw(st.sampled_from([0, 100]))
                spec = {**resource.spec, "traffic": share} if make is deployment else resource.spec
                things.append(
                    live(
                        resource,
                        phase,
                        spec=spec,
                        failure=failure,
                        tries=draw(st.integers(1, 6)),
                        suspended=make is endpoint and draw(st.booleans()),
                        protect=draw(st.booleans()) and draw(st.booleans()),
                    )
                )
    for version in draw(st.sets(st.integers(1, 3))):
        made = record(training(version=version), pruned=draw(st.booleans()))
        records[made.stamp] = made
    for version in draw(st.sets(st.integers(1, 3))):
        written = claim(training(version=version), age=draw(st.sampled_from([1.0, 1e5])))
        claims[written.stamp] = written
    return Snapshot(tuple(things), records, claims)


@given(experiments(), snapshots(), st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_of_its_inputs(desired, seen, random) -> None:
    shuffled = random.sample(desired, len(desired))
    mixed = Snapshot(
        tuple(random.sample(seen.live, len(seen.live))),
        dict(random.sample(list(seen.records.items()), len(seen.records))),
        dict(random.sample(list(seen.claims.items()), len(seen.claims))),
    )

    assert plan(desired, seen) == plan(tuple(shuffled), mixed)


@given(experiments())
def test_a_converged_world_plans_nothing(desired) -> None:
    things = tuple(live(resource) for resource in desired)
    records = {resource.stamp: record(resource) for resource in desired if resource.once}

    made = plan(desired, Snapshot(things, records, {}))

    assert made.now == made.follow == made.blocked == ()
    assert {change.action for change in made.changes} <= {Action.NOOP}


@given(experiments(), snapshots())
def test_repeated_plan_and_apply_reaches_a_fixed_point(desired, seen) -> None:
    world = world_of(desired, seen, NOW, Patience())

    passes = 0
    while any(change.action.mutates for change in decide(world)) or passes == 0:
        world = settle(world)
        passes += 1
        assert passes < HORIZON, "it does not converge"

    assert all(change.action in (Action.NOOP, Action.HOLD, Action.WAIT) for change in decide(world))


@given(experiments(), snapshots())
def test_no_pass_ever_starts_a_second_run_of_an_identity(desired, seen) -> None:
    made = plan(desired, seen)

    starts = [change.after.stamp for change in made.now if change.after and change.after.once]
    assert len(starts) == len(set(starts))
    working = {thing.stamp for thing in seen.live if thing.phase in (Phase.PENDING, Phase.RUNNING)}
    assert not working.intersection(starts)


@given(experiments(), snapshots())
def test_the_last_ready_deployment_is_never_deleted_while_git_wants_one(desired, seen) -> None:
    wanted = {resource.address for resource in desired}

    made = plan(desired, seen)

    for change in made.now:
        if change.action is Action.DELETE and change.address in wanted:
            ready = [thing for thing in seen.live if thing.address == change.address and thing.phase is Phase.READY]
            assert any(thing is not change.before for thing in ready)


@given(experiments(), snapshots())
def test_what_is_protected_is_never_deleted_when_git_forgets_it(desired, seen) -> None:
    wanted = {resource.address for resource in desired}

    made = plan(desired, seen)

    for change in made.now:
        if change.address not in wanted and change.before is not None:
            assert not change.before.protect


@given(experiments(), snapshots())
def test_every_address_is_decided_exactly_once(desired, seen) -> None:
    made = plan(desired, seen)

    about = [change.address for change in made.changes if change.after is not None]
    assert sorted(about) == sorted(resource.address for resource in desired)


def settle(world: World) -> World:
    return imagine(world, decide(world))


@given(experiments(), snapshots())
def test_a_forecast_that_leaves_out_what_rests_is_that_of_the_whole_fleet(desired, seen) -> None:
    still = converged("elk", 9)
    both = Snapshot((*seen.live, *still.live), {**seen.records, **still.records}, seen.claims)
    world = world_of((*desired, *fleet("elk", 9), training("fox", 9)), both, NOW, Patience())
    changes = decide(world)

    follow = forecast(world, changes)

    assert [told(change) for change in follow] == [told(change) for change in whole_forecast(world, changes)]


def whole_forecast(world: World, changes: tuple[Change, ...]) -> list[Change]:
    """The later passes, each over every experiment."""
    follow: list[Change] = []
    for _ in range(HORIZON):
        imagined = imagine(world, changes)
        later = decide(imagined)
        if imagined.live == world.live and imagined.records == world.records and later == changes:
            break
        follow += [change for change in later if change.action.mutates]
        world, changes = imagined, later
    return follow


def told(change: Change) -> tuple[object, ...]:
    sides = (change.before.name if change.before else "", change.after.identity if change.after else "")
    return change.address, change.action, change.reason, sides, change.fields
