"""What came from outside git, apart from what is only not done yet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.changes import FieldChange
from reconciler.core.drift import Difference, Verdict, differences, drifted
from reconciler.core.resources import Declared, Json, LiveResource, Phase, Resource, Role, Snapshot
from tests.core.builders import NOW, claim, converged, deployment, endpoint, fleet, live, plan, snapshot, training

REPLICAS = "serving.max_replica_count"


def found(desired: tuple[Resource, ...], seen: Snapshot) -> tuple[Difference, ...]:
    return differences(plan(desired, seen), seen, settled=NOW - 600.0)


def with_deployment(item: LiveResource) -> Snapshot:
    seen = converged()
    return replace(seen, live=(*(one for one in seen.live if one.address.role is not Role.DEPLOYMENT), item))


def test_a_converged_fleet_has_no_differences() -> None:
    assert found(fleet(), converged()) == ()


@pytest.mark.parametrize(
    ("declared", "shown", "verdict"),
    [
        ({REPLICAS: 5}, 5, Verdict.PENDING),
        ({REPLICAS: 5}, 7, Verdict.DRIFTED),
        ({"adapter.r": 8}, 2, Verdict.PENDING),
        ({"adapter.r": 8}, 7, Verdict.DRIFTED),
    ],
)
def test_a_setting_that_is_as_it_was_once_declared_is_pending_and_any_other_has_drifted(
    declared: dict[str, Json], shown: int, verdict: Verdict
) -> None:
    wanted = deployment(fields={REPLICAS: Declared(1, "in_place", default=2)})
    item = live(wanted, spec={"max_replica_count": shown, "traffic": 100}, declared=declared)

    (difference,) = found((*fleet()[:3], wanted), with_deployment(item))

    assert difference.verdict is verdict
    assert difference.name == item.name
    assert difference.fields == (FieldChange(REPLICAS, shown, 1, "in_place"),)
    assert drifted((difference,)) is (verdict is Verdict.DRIFTED)


def test_a_setting_that_git_leaves_out_and_somebody_set_has_drifted() -> None:
    wanted = deployment(fields={})
    item = live(wanted, spec={"max_replica_count": 9, "traffic": 100})

    (difference,) = found((*fleet()[:3], wanted), with_deployment(item))

    assert difference.verdict is Verdict.DRIFTED


@pytest.mark.parametrize(
    ("share", "beside", "verdict"),
    [(0, False, Verdict.PENDING), (40, False, Verdict.DRIFTED), (40, True, Verdict.PENDING)],
)
def test_traffic_that_somebody_moved_has_drifted_and_a_roll_out_is_pending(
    share: int, beside: bool, verdict: Verdict
) -> None:
    wanted = deployment()
    seen = with_deployment(live(wanted, spec={"max_replica_count": 1, "traffic": share}))
    older = (live(deployment(version=2), spec={"traffic": 100 - share}),) if beside else ()

    seen = replace(seen, live=(*seen.live, *older))

    assert [item.verdict for item in found(fleet(), seen)] == [verdict]


@pytest.mark.parametrize(
    ("shown", "verdict"), [({"team": "a", "cost": "1"}, Verdict.PENDING), ({"team": "z"}, Verdict.DRIFTED)]
)
def test_of_labels_only_the_declared_ones_count(shown: dict[str, Json], verdict: Verdict) -> None:
    wanted = endpoint(spec={"labels": {"team": "b"}}, fields={"labels": Declared({"team": "b"}, "label")})
    item = live(wanted, spec={"labels": shown}, declared={"labels": {"team": "a"}})
    seen = converged()
    seen = replace(seen, live=(*(one for one in seen.live if one.address.role is not Role.ENDPOINT), item))

    desired = tuple(wanted if one.address.role is Role.ENDPOINT else one for one in fleet())

    assert [one.verdict for one in found(desired, seen)] == [verdict]


def test_what_was_made_and_is_gone_is_missing() -> None:
    seen = converged()
    left = tuple(item for item in seen.live if item.address.role is not Role.DEPLOYMENT)
    made, under_way = claim(deployment(), age=1e6), claim(deployment(), age=10.0)

    (difference,) = found(fleet(), replace(seen, live=left, claims={made.key: made}))
    (young,) = found(fleet(), replace(seen, live=left, claims={made.key: under_way}))

    assert (difference.verdict, difference.address.role) == (Verdict.MISSING, Role.DEPLOYMENT)
    assert drifted((difference,))
    assert young.verdict is Verdict.PENDING


def test_what_was_never_made_is_pending() -> None:
    seen = found(fleet(), snapshot())

    assert {item.verdict for item in seen} == {Verdict.PENDING}
    assert seen[0].why == "create: absent"


def test_what_git_no_longer_names_is_pending_and_what_waits_for_a_person_is_nothing() -> None:
    removed = found((training("other"),), converged())
    held = found((training(),), snapshot(live(training(), Phase.FAILED)))

    assert {item.why for item in removed} == {"delete: removed from git", "wait: prerequisite"}
    assert held == ()
