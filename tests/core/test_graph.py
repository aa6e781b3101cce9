"""Which changes wait for which, and which may be carried out side by side."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.changes import Action, Change, Reason
from reconciler.core.graph import apply_order, predecessors
from reconciler.core.resources import Resource, Role
from tests.core.builders import at, deployment, endpoint, fleet, live, model, plan, training


def write(resource: Resource, action: Action = Action.CREATE) -> Change:
    return Change(resource.address, resource.kind, action, Reason.ABSENT, after=resource)


def remove(resource: Resource) -> Change:
    return Change(resource.address, resource.kind, Action.DELETE, Reason.REMOVED, before=live(resource))


def test_different_experiments_are_independent() -> None:
    changes = [
        write(training("ape", 1)),
        write(training("bee", 2)),
        write(endpoint("ape", 3)),
        write(endpoint("bee", 4)),
    ]

    assert predecessors(changes) == (frozenset(),) * 4


def test_a_change_waits_for_what_its_resource_depends_on() -> None:
    changes = [write(training()), write(model()), write(endpoint()), write(deployment())]

    assert predecessors(changes) == (frozenset(), {0}, frozenset(), {1, 2})


def test_changes_on_one_endpoint_are_carried_out_one_after_the_other() -> None:
    changes = [write(endpoint(), Action.UPDATE), write(deployment(), Action.UPDATE), remove(deployment(version=2))]

    assert predecessors(changes) == (frozenset(), {0}, {1})


def test_deployments_on_a_shared_endpoint_are_carried_out_one_after_the_other() -> None:
    shared = (at(Role.ENDPOINT, "host"),)
    changes = [
        write(deployment("ape", 1, depends_on=shared), Action.UPDATE),
        write(deployment("bee", 2, depends_on=shared), Action.UPDATE),
    ]

    assert predecessors(changes) == (frozenset(), {0})


def test_changes_of_one_address_are_carried_out_one_after_the_other() -> None:
    assert predecessors([remove(model(version=1)), remove(model(version=2))]) == (frozenset(), {0})


def test_equal_experiments_share_the_claim_of_their_run_and_nothing_else() -> None:
    runs = [write(training("ape")), write(training("bee"))]
    things = [write(model("ape")), write(model("bee")), write(deployment("ape")), write(deployment("bee"))]

    assert predecessors(runs) == (frozenset(), {0})
    assert predecessors(things) == (frozenset(), frozenset(), {0}, {1})


WISHES = st.dictionaries(st.sampled_from(["ape", "bee", "cow"]), st.integers(1, 3))


@given(WISHES)
def test_in_apply_order_nothing_waits_for_a_later_change_and_writes_follow_their_prerequisites(
    wanted: dict[str, int],
) -> None:
    made = plan(tuple(resource for name, version in wanted.items() for resource in fleet(name, version)))
    changes = apply_order((*made.now, *(replace(change, waits_on=()) for change in made.follow)))

    found = predecessors(changes)

    for position, before in enumerate(found):
        assert all(other < position for other in before)
        needed = changes[position].after.depends_on if changes[position].after else ()
        for other in range(position):
            if changes[other].address in needed:
                assert _reaches(found, position, other)


def _reaches(found: tuple[frozenset[int], ...], position: int, other: int) -> bool:
    return other in found[position] or any(_reaches(found, before, other) for before in found[position])
