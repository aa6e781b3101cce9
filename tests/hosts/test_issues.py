"""One issue about one thing, on GitHub's and GitLab's REST."""

from __future__ import annotations

from reconciler.hosts.host import Host
from reconciler.hosts.issues import keep_issue
from tests.hosts.code_host import CodeHost
from tests.hosts.test_comments import host, slept, there  # noqa: F401 - fixtures

# ruff: noqa: F811


def test_an_issue_is_opened_once_updated_and_closed(host: Host, there: CodeHost) -> None:
    words = [
        keep_issue(host, "drift-prod", "Drift on prod", body, wanted=wanted)
        for body, wanted in (("none", False), ("a", True), ("a", True), ("b", True), ("none", False), ("none", False))
    ]

    assert words == [
        "no issue: nothing to say",
        "issue 1: opened",
        "issue 1: unchanged",
        "issue 1: updated",
        "issue 1: closed",
        "no issue: nothing to say",
    ]
    (issue,) = there.issues
    assert (issue["state"], issue["title"]) == ("closed", "Drift on prod")
    assert issue["body"] == "<!-- loraform issue=drift-prod -->\nnone"


def test_what_comes_back_is_a_new_issue_and_others_are_left_alone(host: Host, there: CodeHost) -> None:
    there.issues.append(
        {"number": 1, "iid": 1, "state": "open", "user": {"login": "mallory"}, "author": {"username": "mallory"},
         "title": "mine", "body": "<!-- loraform issue=drift-prod -->\nx", "description": ""}
    )  # fmt: skip
    keep_issue(host, "drift-prod", "Drift on prod", "a", wanted=True)
    keep_issue(host, "drift-test", "Drift on test", "a", wanted=True)
    keep_issue(host, "drift-prod", "Drift on prod", "none", wanted=False)

    assert keep_issue(host, "drift-prod", "Drift on prod", "again", wanted=True) == "issue 4: opened"
    assert [(item["title"], item["state"]) for item in there.issues] == [
        ("mine", "open"), ("Drift on prod", "closed"), ("Drift on test", "open"), ("Drift on prod", "open"),
    ]  # fmt: skip


def test_of_two_that_were_opened_at_once_the_older_one_stays(host: Host, there: CodeHost) -> None:
    host.open_issue("Drift on prod", "<!-- loraform issue=drift-prod -->\na")
    host.open_issue("Drift on prod", "<!-- loraform issue=drift-prod -->\na")

    assert keep_issue(host, "drift-prod", "Drift on prod", "b", wanted=True) == "issue 1: updated"
    assert [item["state"] for item in there.issues] == ["open", "closed"]
    assert "See #1." in there.issues[1]["body"]
