from __future__ import annotations

import pytest

from reconciler.emulator.wire.errors import ApiError
from reconciler.emulator.wire.filters import compile_filter

JOB = {
    "displayName": "train_a",
    "state": "JOB_STATE_RUNNING",
    "createTime": "2026-11-20T10:00:00.500Z",
    "labels": {"team": "x", "a key": "v", "empty": ""},
    "done": True,
}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "labels.team=x",
        'labels.team="x"',
        "labels.team:*",
        "labels:team",
        'labels."a key"=v',
        'display_name="train_a"',
        'displayName:"train_*"',
        "display_name:rain",
        'display_name="train*"',
        "state=JOB_STATE_RUNNING",
        'state!="JOB_STATE_FAILED"',
        'create_time>="2026-11-20T10:00:00Z"',
        "create_time<2026-11-20T12:00:00+01:30",
        'create_time="2026-11-20T10:00:00.500000Z"',
        "NOT labels.other:*",
        "-labels.other:*",
        'labels.team="y" OR labels.team="x"',
        "labels.team=y OR labels.team=x AND state=JOB_STATE_RUNNING",
        "(labels.team=y AND state=none) OR labels.team=x",
        "labels.team=x labels:team",
        "done=true",
    ],
)
def test_a_resource_matches(query: str) -> None:
    assert compile_filter(query)(JOB)


@pytest.mark.parametrize(
    "query",
    [
        "labels.team=y",
        "labels.other:*",
        "labels.empty:*",
        "labels:other",
        'display_name="train"',
        'state!="JOB_STATE_RUNNING"',
        'create_time>"2026-11-20T10:00:00.5Z"',
        "update_time>2020-01-01T00:00:00Z",
        "NOT labels.team=x",
        "labels.team=x AND labels.team=y",
        "labels.team=x OR labels.team=y AND state=none",
        "done=false",
    ],
)
def test_a_resource_does_not_match(query: str) -> None:
    assert not compile_filter(query)(JOB)


@pytest.mark.parametrize("query", ["=", "labels.team=", "(a=b", "a=b)", "a b", 'a="', "AND", "a=b OR", "(" * 100])
def test_what_cannot_be_read_is_a_bad_request(query: str) -> None:
    with pytest.raises(ApiError, match="Invalid filter"):
        compile_filter(query)


def test_a_field_that_may_not_be_asked_for_is_named() -> None:
    with pytest.raises(ApiError, match=r'unknown field "job_spec\.x"'):
        compile_filter("job_spec.x=1", {"labels"})


@pytest.mark.parametrize(
    "query",
    [
        "state=JOB_STATE_NONSENSE",
        "state=RUNNING",
        "state<JOB_STATE_RUNNING",
        'state:"JOB*"',
        "state=3",
        'create_time="yesterday"',
        'createTime>"2026"',
        "end_time<2026-11-20T10:00:00",
    ],
)
def test_what_no_resource_could_ever_match_is_refused(query: str) -> None:
    with pytest.raises(ApiError, match=r"is compared (with a time|.* with one of its names)"):
        compile_filter(query, {"state", "create_time", "end_time"})


@pytest.mark.parametrize("query", ["create_time:*", "end_time:*", "NOT update_time>2026-11-20T10:00:00Z"])
def test_times_can_be_asked_for_at_all(query: str) -> None:
    assert compile_filter(query, {"create_time", "end_time", "update_time"})({**JOB, "endTime": JOB["createTime"]})
