"""`loraform comment` in the environment of a pipeline, against a server that speaks the host's REST."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.main import run
from tests.hosts.code_host import CodeHost, code_host

HEAD = "4be21d" + "0" * 34
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def there() -> Iterator[CodeHost]:
    with code_host() as held:
        yield held


@pytest.fixture
def actions(there: CodeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CodeHost:
    """A step of a workflow that runs for pull request 7."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7, "head": {"sha": HEAD}}}))
    for name in ("GITLAB_CI", "GITHUB_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "GITHUB_API_URL": there.url,
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "acme/models",
        "GITHUB_RUN_ID": "41",
        "GITHUB_RUN_ATTEMPT": "2",
        "GITHUB_TOKEN": "bot-token",
    }.items():
        monkeypatch.setenv(name, value)
    return there


@pytest.fixture
def plan(tmp_path: Path) -> str:
    path = tmp_path / "plan.md"
    path.write_text("### Loraform: 1 to create\n", encoding="utf-8")
    return str(path)


def test_a_workflow_names_nothing_and_gets_comment_and_status(actions: CodeHost, plan: str, capsys: Captured) -> None:
    assert run(["comment", plan, "--plan-id", "0123456789ab"]) == 0

    assert actions.bodies(7) == ["<!-- loraform key=plan order=4102 -->\n### Loraform: 1 to create\n"]
    (status,) = actions.statuses[HEAD]
    assert (status["context"], status["state"]) == ("loraform/plan", "success")
    assert status["description"] == "plan 0123456789ab"
    assert status["target_url"] == "https://github.com/acme/models/actions/runs/41"
    assert capsys.readouterr().out == (
        "comment 101 on pull request 7: created\nstatus loraform/plan of 4be21d000000: success, plan 0123456789ab\n"
    )


def test_without_a_plan_the_status_says_so(actions: CodeHost, plan: str) -> None:
    assert run(["comment", plan, "--failed"]) == 0
    assert actions.statuses[HEAD][0]["state"] == "failure"


def test_a_merge_request_of_gitlab_gets_a_note(
    there: CodeHost, plan: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    for name, value in {
        "GITLAB_CI": "true",
        "CI_API_V4_URL": f"{there.url}/api/v4",
        "CI_PROJECT_ID": "7",
        "CI_MERGE_REQUEST_IID": "9",
        "CI_COMMIT_SHA": HEAD,
        "CI_PIPELINE_ID": "55",
        "GITLAB_TOKEN": "lab-token",
    }.items():
        monkeypatch.setenv(name, value)

    assert run(["comment", plan, "--plan-id", "0123456789ab"]) == 0
    assert there.bodies(9) == ["<!-- loraform key=plan order=5500 -->\n### Loraform: 1 to create\n"]
    assert there.statuses[HEAD][0]["name"] == "loraform/plan"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--key", "a key"], "cannot be a comment's key"),
        (["--plan-id", "xyz"], "no plan id"),
        (["--host", "sourcehut"], "no host `sourcehut`"),
        (["--repository", "acme"], "OWNER/NAME"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_sent(
    actions: CodeHost, plan: str, capsys: Captured, more: list[str], said: str
) -> None:
    assert run(["comment", plan, *more]) == 1
    assert said in capsys.readouterr().err
    assert actions.calls == []


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "GITHUB_REPOSITORY", "GITHUB_EVENT_PATH"])
def test_what_a_laptop_lacks_is_named(
    actions: CodeHost, plan: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured, name: str
) -> None:
    monkeypatch.delenv(name)

    assert run(["comment", plan]) == 1
    assert ("--pull-request NUMBER" if name == "GITHUB_EVENT_PATH" else f"{name} is not set") in capsys.readouterr().err


def test_what_no_comment_takes_is_refused(actions: CodeHost, tmp_path: Path, capsys: Captured) -> None:
    long = tmp_path / "long.md"
    long.write_text("x" * 70_000)

    assert run(["comment", str(long)]) == 1
    assert "more than 65000 bytes" in capsys.readouterr().err
