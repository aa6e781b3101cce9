"""One comment on a pull request, whatever happens to it: on GitHub's and GitLab's REST, over real connections."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from reconciler.core.errors import CloudError, LoraformError, NotFound, Retryable, Terminal
from reconciler.hosts.comments import write_comment
from reconciler.hosts.github import github
from reconciler.hosts.gitlab import gitlab
from reconciler.hosts.host import Comment, Host, Request, State, Status
from tests.hosts.code_host import Answer, CodeHost, code_host

COMMIT = "4be21d" + "0" * 34


@pytest.fixture
def there() -> Iterator[CodeHost]:
    with code_host() as held:
        yield held


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture(params=["github", "gitlab"])
def host(request: pytest.FixtureRequest, there: CodeHost, slept: list[float]) -> Host:
    if request.param == "github":
        return github("bot-token", "acme/models", there.url, sleep=slept.append, now=lambda: 1000.0)
    return gitlab("lab-token", "acme/models", f"{there.url}/api/v4", sleep=slept.append, now=lambda: 1000.0)


def test_the_first_run_writes_a_comment_and_later_ones_write_in_it(host: Host, there: CodeHost) -> None:
    words = [write_comment(host, 7, "plan", body, order).word for order, body in enumerate(("a", "b", "b"), start=1)]

    assert words == ["created", "updated", "updated"]
    assert there.bodies(7) == ["<!-- loraform key=plan order=3 -->\nb"]


def test_the_same_run_again_changes_nothing(host: Host, there: CodeHost) -> None:
    write_comment(host, 7, "plan", "a", 1)
    there.calls.clear()

    assert write_comment(host, 7, "plan", "a", 1).word == "unchanged"
    assert {call.split()[0] for call in there.calls} == {"GET"}


def test_an_older_run_does_not_overwrite_a_newer_one(host: Host, there: CodeHost) -> None:
    write_comment(host, 7, "plan", "new", 9)

    assert write_comment(host, 7, "plan", "old", 8).word == "left alone"
    assert there.bodies(7) == ["<!-- loraform key=plan order=9 -->\nnew"]


def test_a_person_writes_over_the_last_run_and_the_next_run_over_the_person(host: Host, there: CodeHost) -> None:
    write_comment(host, 7, "plan", "run", 5)
    write_comment(host, 7, "plan", "by hand", None)
    by_hand = there.bodies(7)
    write_comment(host, 7, "plan", "next", 6)

    assert by_hand == ["<!-- loraform key=plan order=5 -->\nby hand"]
    assert there.bodies(7) == ["<!-- loraform key=plan order=6 -->\nnext"]


def test_it_is_found_behind_hundreds_of_comments_of_others(host: Host, there: CodeHost) -> None:
    for number in range(250):
        there.put(7, "somebody", f"talk {number}")
    write_comment(host, 7, "plan", "a", 1)
    for number in range(250):
        there.put(7, "somebody", f"more talk {number}")

    write_comment(host, 7, "plan", "b", 2)

    assert [body for body in there.bodies(7) if "loraform" in body] == ["<!-- loraform key=plan order=2 -->\nb"]


def test_a_marker_that_somebody_else_wrote_is_not_ours(host: Host, there: CodeHost) -> None:
    theirs = "<!-- loraform key=plan order=999999 -->\nApproved, trust me."
    there.put(7, "mallory", theirs)

    assert write_comment(host, 7, "plan", "a", 1).word == "created"
    assert there.bodies(7) == [theirs, "<!-- loraform key=plan order=1 -->\na"]


def test_two_targets_have_two_comments(host: Host, there: CodeHost) -> None:
    write_comment(host, 7, "plan", "a", 1)
    write_comment(host, 7, "plan-prod", "b", 1)

    assert len(there.bodies(7)) == 2


def test_a_comment_that_somebody_deleted_is_written_anew(host: Host, there: CodeHost) -> None:
    write_comment(host, 7, "plan", "a", 1)
    there.comments[7].clear()

    assert write_comment(host, 7, "plan", "b", 2).word == "created"


def test_a_comment_that_is_deleted_under_our_hands_is_written_anew(host: Host, there: CodeHost) -> None:
    write_comment(host, 7, "plan", "a", 1)

    def gone() -> None:
        there.before_write = lambda: None
        there.comments[7].clear()

    there.before_write = gone

    write_comment(host, 7, "plan", "b", 2)

    assert there.bodies(7) == ["<!-- loraform key=plan order=2 -->\nb"]


def test_a_comment_whose_marker_was_edited_away_is_left_to_its_editor(host: Host, there: CodeHost) -> None:
    write_comment(host, 7, "plan", "a", 1)
    there.comments[7][0]["body"] = "rewritten by a person"

    write_comment(host, 7, "plan", "b", 2)

    assert there.bodies(7) == ["rewritten by a person", "<!-- loraform key=plan order=2 -->\nb"]


def test_an_answer_that_was_lost_makes_no_second_comment(host: Host, there: CodeHost) -> None:
    there.lose = 1

    assert write_comment(host, 7, "plan", "a", 1).word == "unchanged"
    assert there.bodies(7) == ["<!-- loraform key=plan order=1 -->\na"]


def test_of_many_runs_at_once_one_comment_is_left_with_the_newest_text(host: Host, there: CodeHost) -> None:
    all_looked, writes = threading.Barrier(4), itertools.count()

    def together() -> None:
        if next(writes) < 4:
            all_looked.wait(timeout=60)

    there.before_write = together
    failed: list[Exception] = []

    def write(order: int) -> None:
        try:
            write_comment(host, 7, "plan", f"run {order}", order)
        except Exception as error:  # pragma: no cover - shown by the assertion
            failed.append(error)

    threads = [threading.Thread(target=write, args=(order,)) for order in (3, 1, 4, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    write_comment(host, 7, "plan", "run 4", 4)
    assert there.bodies(7) == ["<!-- loraform key=plan order=4 -->\nrun 4"]


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (Answer(429, {"message": "slow down"}, {"Retry-After": "7"}), 7.0),
        (Answer(403, {"message": "secondary rate limit"}, {"Retry-After": "9"}), 9.0),
        (Answer(403, {"message": "rate limit"}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1030"}), 30.0),
        (Answer(429, {"message": "slow down"}), 15.0),
    ],
)
def test_a_limit_is_waited_for_as_long_as_it_says(
    host: Host, there: CodeHost, slept: list[float], answer: Answer, pause: float
) -> None:
    host.me()
    slept.clear()
    there.refuse = [answer]

    write_comment(host, 7, "plan", "a", 1)

    assert slept == [pause]
    assert len(there.bodies(7)) == 1


def test_a_limit_of_an_hour_is_an_error_with_a_way_out(host: Host, there: CodeHost, slept: list[float]) -> None:
    host.me()
    there.refuse = [Answer(403, {"message": "limit"}, {"Retry-After": "3600"})] * 4

    with pytest.raises(Retryable, match="3600 s of patience") as caught:
        write_comment(host, 7, "plan", "a", 1)

    assert caught.value.remedy == "Run it again later."
    assert sum(slept) <= 300


def test_a_server_that_stumbles_is_asked_again(host: Host, there: CodeHost, slept: list[float]) -> None:
    host.me()
    there.refuse = [Answer(502, {"message": "bad gateway"}), Answer(503)]

    write_comment(host, 7, "plan", "a", 1)

    assert slept == [2.0, 4.0]


@pytest.mark.parametrize(
    ("status", "kind", "remedy"),
    [(401, Terminal, "token is missing"), (403, Terminal, "may not do this"), (404, NotFound, "may not see it")],
)
def test_what_the_host_refuses_is_said_with_a_way_out(
    host: Host, there: CodeHost, status: int, kind: type[CloudError], remedy: str
) -> None:
    host.me()
    there.refuse = [Answer(status, {"message": "no"})] * 5

    with pytest.raises(kind, match=f": {status} no") as caught:
        write_comment(host, 7, "plan", "a", 1)

    assert remedy in caught.value.remedy


def test_the_token_goes_to_no_other_host_that_a_page_names(host: Host, there: CodeHost) -> None:
    host.me()
    there.refuse = [Answer(200, [], {"Link": '<http://127.0.0.2:9/x>; rel="next"'})]

    with pytest.raises(Terminal, match="next page on another host"):
        list(host.comments(7))


@pytest.mark.parametrize("make", [partial(github, "t", "acme/models"), partial(gitlab, "t", "acme/models")])
def test_a_token_is_never_sent_in_the_clear(make: Any) -> None:
    with pytest.raises(LoraformError, match="in the clear"):
        make("http://code.example")


def test_a_repository_has_an_owner_and_a_name() -> None:
    with pytest.raises(LoraformError, match="no repository of GitHub"):
        github("t", "../../user", "https://api.github.com")


def test_a_status_is_written_and_read_back_the_newest_first(host: Host, there: CodeHost) -> None:
    host.set_status(COMMIT, Status("loraform/plan", State.SUCCESS, "plan 0123", "https://ci.example/1"))
    host.set_status(COMMIT, Status("loraform/plan", State.FAILURE, "x" * 100))

    assert list(host.statuses(COMMIT)) == [
        Status("loraform/plan", State.FAILURE, "x" * 100),
        Status("loraform/plan", State.SUCCESS, "plan 0123", "https://ci.example/1"),
    ]


def test_the_pull_requests_of_a_commit_are_the_merged_ones(host: Host, there: CodeHost) -> None:
    there.merged[COMMIT] = [
        {"number": 7, "iid": 7, "merged_at": "2026", "state": "merged", "head": {"sha": "abc"}, "sha": "abc"},
        {"number": 8, "iid": 8, "merged_at": None, "state": "opened", "head": {"sha": "def"}, "sha": "def"},
    ]

    assert list(host.merged_by(COMMIT)) == [Request(7, "abc")]


def test_comments_are_read_with_their_authors(host: Host, there: CodeHost) -> None:
    there.put(7, "octocat", "hello")

    assert list(host.comments(7)) == [Comment(101, "octocat", "hello")]
