from __future__ import annotations

import json
from dataclasses import replace

from reconciler.core.orphans import Orphan, orphans
from reconciler.render.orphans import orphans_json, orphans_text
from tests.core.builders import converged, deployment, fleet, live, plan
from tests.render.golden import same_as_golden

SEEN = converged("gone")
FOUND = orphans(plan(fleet("bot"), SEEN), SEEN)
PRICED = (
    *(replace(item, per_day=cost) for item, cost in zip(FOUND, (0.0, 48.0), strict=True)),
    Orphan(live(deployment("odd\x1b")), "serves 0 %, and git wants another one"),
)


def test_orphans_are_a_line_each_and_on_this_machine_without_a_price() -> None:
    same_as_golden("orphans.txt", orphans_text(FOUND, source="prices", local=True).plain)


def test_in_the_cloud_each_has_its_price_and_what_has_none_says_so() -> None:
    same_as_golden("orphans-priced.txt", orphans_text(PRICED, source="a table of 2026-02", local=False).plain)


def test_orphans_for_programs_tell_an_unknown_price_as_null() -> None:
    document = json.loads(orphans_json(PRICED, source="a table"))

    assert document["prices"] == "a table"
    assert [(item["role"], item["usd_per_day"]) for item in document["orphans"]] == [
        ("endpoint", 0.0), ("deployment", 48.0), ("deployment", None),
    ]  # fmt: skip


def test_no_orphan_is_said_in_words() -> None:
    said = orphans_text((), source="", local=False).plain

    assert said == "No orphan: all that is live is in git and answers.\n"
