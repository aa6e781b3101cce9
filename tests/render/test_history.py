from __future__ import annotations

import json
import unicodedata

from reconciler.core.lineage import Commit, Point, Run, Share, Traces, joined, lineage, unexplained
from reconciler.core.resources import Resource
from reconciler.render.history import answering_text, history_json, history_markdown, history_text
from tests.core.builders import deployment, fleet, training
from tests.render.golden import same_as_golden

JOB = "projects/123/locations/europe-west4/customJobs/4711"


def point(number: int, subject: str, *resources: Resource, author: str = "Ann", problem: str = "") -> Point:
    commit = Commit(f"{number}" * 40, f"2026-11-{number:02d}T10:00:00+00:00", author, subject)
    return Point(commit, "bot", "experiments/bot.yaml", resources, problem)


def story() -> tuple:
    one, two = fleet(), fleet(version=2)
    steps = lineage(
        [
            point(1, "Begin", *one),
            point(2, "Raise the rank, since 8 is too few | `rm`", *two, author="Eve\x1b[31m"),
            point(3, "Break it \u202e", problem="`adapter.rr` is no key"),
            point(4, "Three replicas", *two[:3], deployment(version=2, spec={"max_replica_count": 3})),
            point(5, "Try again", training(version=2, attempt_key="second"), *two[1:]),
            point(6, "Revert \u201cRaise the rank\u201d", *one, author="Bob"),
        ]
    )
    traces = Traces(
        runs={
            one[0].stamp: Run(JOB, "trained", 754.0, "2026-11-01T11:00:00Z", {"eval_loss": 0.51234567, "rouge_l": 0.4}),
            two[0].stamp: Run(JOB, "running", place="standard in europe-west4", tries=("stock-out", "preempted")),
        },
        versions={one[1].stamp: "1"},
        commits={one[1].stamp: "1" * 40},
        traffic={one[3].stamp: 90, "f" * 20: 10},
        served={one[3].stamp: (Share(1_793_750_400.0, 10), Share(1_793_836_800.0, 90)), two[3].stamp: (Share(1e9, 0),)},
    )
    rows = joined(steps, traces)
    return rows, unexplained(rows, traces)


def test_a_history_tells_of_each_commit_what_became_of_it() -> None:
    rows, _ = story()

    text = history_text(rows).plain

    assert {unicodedata.category(character) for character in text.replace("\n", "")} & {"Cc", "Cf", "Cs"} == set()
    same_as_golden("history.txt", text)


def test_a_history_is_a_table_whose_cells_nothing_leaves() -> None:
    rows, _ = story()

    same_as_golden("history.md", history_markdown("bot", rows))


def test_a_history_for_programs_has_whole_identities_and_plain_ascii() -> None:
    rows, _ = story()

    text = history_json("bot", rows)

    document = json.loads(text)
    assert text.isascii()
    assert document["version"] == 1
    assert document["commits"][0]["identities"]["training"] == fleet()[0].identity
    assert document["commits"][0]["run"] == {
        "job": JOB,
        "phase": "trained",
        "seconds": 754.0,
        "finished": "2026-11-01T11:00:00Z",
        "metrics": {"eval_loss": 0.51234567, "rouge_l": 0.4},
        "place": "",
        "tries": [],
    }


def test_blame_names_the_commit_of_each_share_and_what_no_commit_wants() -> None:
    rows, strange = story()

    text = answering_text("bot", [row for row in rows if row.traffic], strange)

    same_as_golden("blame.txt", text.plain)
