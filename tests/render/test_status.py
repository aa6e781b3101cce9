from __future__ import annotations

from dataclasses import replace

from reconciler.core.resources import Phase, Role
from reconciler.render.status import rows_of, status_text
from tests.core.builders import (
    converged,
    deployment,
    endpoint,
    fleet,
    gate,
    live,
    model,
    plan,
    record,
    snapshot,
    training,
)
from tests.render.golden import same_as_golden
from tests.render.stories import together


def test_the_table_shows_what_is_live_and_why_something_stands_still() -> None:
    weak = fleet("weak", 9)
    gated = (*weak[:3], replace(weak[3], gate=gate("eval_loss <= 0.5", experiment="weak")))
    old_and_new = (
        live(training("rolling", 2)), live(model("rolling", 2), outputs={"version_id": "2"}), live(endpoint("rolling")),
        live(deployment("rolling", 2), spec={"traffic": 10}), live(deployment("rolling", 1), spec={"traffic": 90}),
    )  # fmt: skip
    seen = together(
        converged("calm"),
        converged("gone", 4),
        snapshot(*old_and_new, records=(record(training("rolling", 2)),)),
        snapshot(*(live(item) for item in weak[:3]), records=(record(weak[0]),)),
        snapshot(live(training("busy", 5), Phase.RUNNING)),
        snapshot(live(training("broken", 6), Phase.FAILED)),
    )
    rolling = (training("rolling", 2), model("rolling", 2), endpoint("rolling"), deployment("rolling", 2))
    desired = (*fleet("calm"), *rolling, *gated, *fleet("busy", 5), *fleet("broken", 6), *fleet("fresh", 7))

    text = status_text(rows_of(plan(desired, seen), seen))

    same_as_golden("status.txt", text.plain)


def test_a_suspended_endpoint_says_so() -> None:
    seen = converged("calm")
    asleep = [replace(item, suspended=True) for item in seen.live if item.address.role is Role.ENDPOINT]
    rest = [item for item in seen.live if item.address.role in (Role.TRAINING, Role.MODEL)]
    seen = replace(seen, live=(*rest, *asleep))

    (row,) = rows_of(plan(fleet("calm"), seen), seen)

    assert row.endpoint.startswith("suspended ")
    assert row.note == "suspended: loraform resume calm"


def test_an_empty_world_is_said_in_words() -> None:
    assert status_text(()).plain == "No experiment, and nothing live.\n"
