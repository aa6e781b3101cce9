"""What the commits of an experiment mean, one beside the other."""

from __future__ import annotations

import pytest

from reconciler.core.changes import FieldChange
from reconciler.core.lineage import Commit, Kind, Point, Run, Traces, joined, lineage, unexplained
from reconciler.core.resources import Declared, Resource, Role
from tests.core.builders import deployment, endpoint, fleet, model, training

OWNED = {"owner": Declared("team", "nothing")}


def point(number: int, *resources: Resource, name: str = "bot", problem: str = "") -> Point:
    commit = Commit(f"{number:040d}", "2026-11-20T10:00:00+00:00", "Ann", f"commit {number}")
    return Point(commit, name, f"experiments/{name}.yaml", resources, problem)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ((), fleet(), Kind.NEW),
        (fleet(), fleet(version=2), Kind.RUN),
        (fleet(), (training(), model(version=2), endpoint(), deployment(version=2)), Kind.VERSION),
        ((training(),), fleet(), Kind.VERSION),
        (fleet(), (*fleet()[:3], deployment(version=2)), Kind.ROLL),
        (fleet(), (training(attempt_key="second"), *fleet()[1:]), Kind.TRY),
        (fleet(), (*fleet()[:3], deployment(spec={"max_replica_count": 9})), Kind.IN_PLACE),
        (fleet(), fleet(), Kind.NOTHING),
        (fleet(), (), Kind.REMOVED),
        ((), (), Kind.NOTHING),
    ],
)
def test_a_commit_is_called_after_the_costliest_thing_that_it_brings_about(
    before: tuple[Resource, ...], after: tuple[Resource, ...], kind: Kind
) -> None:
    newest, _ = lineage([point(1, *before), point(2, *after)])

    assert newest.kind is kind


def test_another_name_alone_is_a_rename() -> None:
    newest, _ = lineage([point(1, *fleet("bot")), point(2, *fleet("helper"), name="helper")])

    assert newest.kind is Kind.RENAMED


def test_a_revert_has_the_run_that_was_there_before() -> None:
    steps = lineage([point(1, *fleet()), point(2, *fleet(version=2)), point(3, *fleet())])

    assert [(step.kind, step.again) for step in steps] == [(Kind.RUN, True), (Kind.RUN, False), (Kind.NEW, False)]


def test_each_field_that_differs_is_named_once_though_several_resources_have_it() -> None:
    before = tuple(Resource(**{**_parts(item), "fields": OWNED}) for item in fleet())
    after = tuple(Resource(**{**_parts(item), "fields": {"owner": Declared("other", "nothing")}}) for item in fleet())

    newest, _ = lineage([point(1, *before), point(2, *after)])

    assert newest.fields == (FieldChange("owner", "team", "other", "nothing"),)


def test_what_cannot_be_read_is_passed_over() -> None:
    steps = lineage([point(1, *fleet()), point(2, problem="no mapping"), point(3, *fleet())])

    assert [step.kind for step in steps] == [Kind.NOTHING, Kind.UNREADABLE, Kind.NEW]


def test_traffic_stands_with_the_newest_commit_that_wants_the_deployment() -> None:
    steps = lineage([point(1, *fleet()), point(2, *fleet()), point(3, *fleet(version=2))])
    one, two = fleet(), fleet(version=2)
    traces = Traces(
        runs={one[0].stamp: Run("job-1", "trained")},
        versions={one[1].stamp: "1", two[1].stamp: "2"},
        commits={one[1].stamp: "abc"},
        traffic={one[3].stamp: 90, two[3].stamp: 10},
    )

    rows = joined(steps, traces)

    assert [row.traffic for row in rows] == [10, 90, None]
    assert [row.version for row in rows] == ["2", "1", "1"]
    assert [row.labelled for row in rows] == ["", "abc", "abc"]
    assert [row.run and row.run.job for row in rows] == [None, "job-1", "job-1"]


def test_what_answers_and_no_commit_wants_is_unexplained() -> None:
    rows = joined(lineage([point(1, *fleet())]), Traces())
    stamp = fleet()[3].stamp

    found = unexplained(rows, Traces(traffic={"a": 0, "b": 10, "c": 20, stamp: 70}))

    assert found == (("c", 20), ("b", 10))


def test_an_experiment_that_only_trains_wants_no_deployment() -> None:
    (step,) = lineage([point(1, training())])

    assert step.stamp(Role.DEPLOYMENT) == ""
    assert step.moved == {Role.TRAINING}


def _parts(resource: Resource) -> dict[str, object]:
    return {name: getattr(resource, name) for name in Resource.__slots__}
