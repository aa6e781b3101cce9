"""The pure planner on fleets of a thousand and ten thousand experiments with four live objects each."""

from __future__ import annotations

from collections.abc import Iterator

from bench.timing import Figure, figure
from reconciler.core.resources import Snapshot
from tests.core.builders import fleet, live, plan, record


def figures() -> Iterator[Figure]:
    """`make_plan` with nothing to do, and with everything to do."""
    for size in (1_000, 10_000):
        desired = tuple(resource for n in range(size) for resource in fleet(f"bot-{n}", n))
        things = tuple(live(resource) for resource in desired)
        records = {resource.stamp: record(resource) for resource in desired if resource.once}
        seen = Snapshot(things, records, {})
        yield figure("plan, in sync", lambda desired=desired, seen=seen: plan(desired, seen), 3, experiments=size)
        yield figure("plan, all new", lambda desired=desired: plan(desired), 3, experiments=size)
