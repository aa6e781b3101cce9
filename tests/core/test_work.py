"""How much the planner works: counted in calls, since no test may assert a time."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

from reconciler.core.forecast import resting
from reconciler.core.resources import Role, Snapshot
from reconciler.core.table import decide
from reconciler.core.world import Patience, world_of
from tests.core.builders import NOW, at, converged, deployment, endpoint, fleet, live, plan, snapshot

SIZE = 50
PER_EXPERIMENT = 4
NAMES = tuple(f"bot-{number}" for number in range(SIZE))
DESIRED = tuple(resource for number, name in enumerate(NAMES) for resource in fleet(name, number + 1))


def together(*snapshots: Snapshot) -> Snapshot:
    return Snapshot(
        tuple(item for seen in snapshots for item in seen.live),
        {stamp: record for seen in snapshots for stamp, record in seen.records.items()},
    )


SEEN = together(*(converged(name, number + 1) for number, name in enumerate(NAMES)))


def calls_of(act: Callable[[], object]) -> Counter[str]:
    """How often each function of ours is called."""
    counted: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            counted[frame.f_code.co_name] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
    return counted


def test_a_fleet_in_sync_is_decided_once_and_not_imagined_at_all() -> None:
    counted = calls_of(lambda: plan(DESIRED, SEEN))

    assert counted["decide_thing"] + counted["decide_run"] == SIZE * PER_EXPERIMENT
    assert counted["imagine"] == counted["canonical"] == 0


def test_one_edit_in_a_large_fleet_is_forecast_alone() -> None:
    edited = (*fleet(NAMES[0], 1000), *DESIRED[PER_EXPERIMENT:])

    counted = calls_of(lambda: plan(edited, SEEN))

    passes = counted["imagine"]
    assert passes > 3
    assert counted["decide_thing"] + counted["decide_run"] == PER_EXPERIMENT * (SIZE + passes)


def test_an_experiment_that_depends_on_another_is_decided_with_it() -> None:
    member, host = deployment("bot", depends_on=(at(Role.ENDPOINT, "host"),)), endpoint("host")
    desired = (member, host, *fleet("elk", 9))
    world = world_of(desired, together(snapshot(live(member), live(host)), converged("elk", 9)), NOW, Patience())

    seen = resting(world, decide(world))

    assert seen.still == {"elk"}
