"""What a live thing costs a day, and that nothing is told where a part of it has no known price."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.orphans import idle, orphans, priced
from reconciler.core.prices import Prices, per_day
from reconciler.core.resources import Phase, Resource
from tests.core.builders import NOW, converged, deployment, endpoint, fleet, live, plan, snapshot, training

PRICES = Prices({"here": {"g2": 1.0, "g2-standard-12": 2.0, "n1": 0.5, "T4": 0.25}, "*": {"n1": 9.0, "n2": 3.0}})


def on(
    resource: Resource, machine: dict[str, Any] | None, replicas: Any = 1, phase: Phase = Phase.READY, **outputs: Any
) -> float | None:
    machines = [{"machine": machine, "replicas": replicas}]
    return per_day(live(resource, phase, outputs={"machines": machines, **outputs}), PRICES, "here")


def test_a_deployment_costs_its_least_replicas_and_a_run_all_its_machines() -> None:
    assert on(deployment(), {"machine_type": "n1"}, 2) == 24.0
    assert on(training(), {"machine_type": "n1"}, 4, Phase.RUNNING) == 48.0


def test_accelerators_are_added_unless_they_are_part_of_the_machine() -> None:
    card = {"accelerator_type": "T4", "accelerator_count": 2}

    assert on(deployment(), {"machine_type": "n1", **card}) == 24.0
    assert (
        on(deployment(), {"machine_type": "g2-standard-12", "accelerator_type": "L4", "accelerator_count": 1}) == 48.0
    )


def test_a_price_of_the_region_wins_over_one_of_all_regions() -> None:
    assert PRICES.of("n1", "there") == 9.0
    assert on(deployment(), {"machine_type": "n2"}) == 72.0


@pytest.mark.parametrize(
    "machine",
    [
        {"machine_type": "unheard-of"},
        {"machine_type": "n1", "accelerator_type": "H100", "accelerator_count": 1},
        None,
    ],
)
def test_an_unknown_part_makes_the_whole_unknown(machine: dict[str, Any] | None) -> None:
    assert on(deployment(), machine) is None


def test_spot_machines_and_what_does_not_tell_its_machines_have_no_price() -> None:
    assert on(deployment(), {"machine_type": "n1"}, spot=True) is None
    assert on(deployment(), {"machine_type": "n1"}, None) is None
    assert per_day(live(deployment()), PRICES, "here") is None
    assert per_day(live(deployment(), outputs={"machines": ["?"]}), PRICES, "here") is None


def test_what_stands_still_costs_nothing() -> None:
    assert on(endpoint(), None) == 0.0
    assert on(deployment(), {"machine_type": "n1"}, 1, Phase.FAILED) == 0.0
    assert on(training(), {"machine_type": "n1"}, 1, Phase.PENDING) == 0.0


def test_orphans_get_their_prices() -> None:
    seen = converged("gone")

    found = priced(orphans(plan(fleet("bot"), seen), seen), PRICES, "here")

    assert [item.per_day for item in found] == [0.0, None]


def test_what_serves_and_got_no_request_is_told_unless_it_is_young_or_known_already() -> None:
    def serving(name: str, **overrides: Any) -> Any:
        return live(deployment(name), spec={"traffic": 100}, outputs={"endpoint": f"endpoints/{name}"}, **overrides)

    quiet, busy, young = serving("quiet"), serving("busy"), serving("young", created=NOW)
    known = serving("known")
    seen = snapshot(quiet, busy, young, known, live(deployment("none"), spec={"traffic": 0}))
    listed = [item for item in orphans(plan((), seen), seen) if item.live is known]

    found = idle(seen, listed, {"endpoints/busy"}, NOW - 100.0)

    assert [(item.live.name, item.why) for item in found] == [(quiet.name, "in git, and no request was logged")]
