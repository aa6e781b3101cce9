"""`loraform apply --approved`: what was approved on the pull request, and nothing else, is done after its merge."""

# ruff: noqa: F811

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import write_experiment
from tests.cli.test_accepted import accepted, commit, id_of, jobs, tell
from tests.cli.test_cloud_target import git, prod  # noqa: F401 - a fixture
from tests.hosts.code_host import CodeHost, code_host

pytestmark = pytest.mark.slow


@pytest.fixture
def there(prod: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CodeHost]:
    """A code host, and a first commit that was accepted by hand."""
    with code_host() as held:
        monkeypatch.delenv("GITLAB_CI", raising=False)
        for name, value in {
            "GITHUB_API_URL": held.url, "GITHUB_REPOSITORY": "acme/models", "GITHUB_TOKEN": "bot-token",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        assert tell("apply")[0] == 0
        yield held


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside of the repository: a report in it would make the tree another one than the commit."""
    return tmp_path_factory.mktemp("elsewhere")


def opened(prod: Path, name: str, rank: int) -> tuple[str, str]:
    """A branch that gives an experiment this rank: its head and the id of its plan."""
    git(prod, "switch", "--quiet", "--create", f"{name}-{rank}")
    write_experiment(prod, name, adapter={"r": rank})
    head = commit(prod, f"{name} {rank}")
    planned = id_of(tell("plan")[1])
    git(prod, "switch", "--quiet", "main")
    return head, planned


def approved(there: CodeHost, head: str, planned: str) -> None:
    there.statuses[head].insert(
        0, {"context": "loraform/plan", "state": "success", "description": f"plan {planned}", "target_url": ""}
    )


def merged(prod: Path, there: CodeHost, branch: str, head: str, number: int, *how: str) -> str:
    git(prod, "merge", "--quiet", *(how or ("--no-ff",)), "--message", f"Merge #{number}", branch)
    if how:
        git(prod, "commit", "--quiet", "--message", f"Squash #{number}")
    made = git(prod, "rev-parse", "HEAD")
    there.merged[made] = [{"number": number, "merged_at": "2026", "head": {"sha": head}}]
    return made


@pytest.mark.parametrize("how", [(), ("--squash",)])
def test_what_was_approved_is_done_and_reported(
    prod: Path,
    there: CodeHost,
    elsewhere: Path,
    how: tuple[str, ...],
) -> None:
    head, planned = opened(prod, "cat", 2)
    approved(there, head, planned)
    made = merged(prod, there, "cat-2", head, 7, *how)

    code, told = tell("apply", "--approved", "--report", str(elsewhere / "report.md"))

    assert code == 0, told
    assert f"pull request 7: plan {planned} was approved" in told
    assert accepted() == made[:7]
    assert "| ✅ | `cat` | training | created |" in (elsewhere / "report.md").read_text()
    assert tell("apply", "--approved")[0] == 0  # and again: accepted already


def test_two_merges_are_each_held_to_their_own_approval(prod: Path, there: CodeHost) -> None:
    cat, dog = opened(prod, "cat", 2), opened(prod, "dog", 3)
    approved(there, *cat)
    approved(there, *dog)
    merged(prod, there, "cat-2", cat[0], 7)
    made = merged(prod, there, "dog-3", dog[0], 8)

    code, told = tell("apply", "--approved")

    assert code == 0, told
    assert "pull request 7: plan" in told
    assert "pull request 8: plan" in told
    assert accepted() == made[:7]


def test_a_plan_that_is_another_one_by_now_is_refused_and_stays_refused(
    prod: Path,
    there: CodeHost,
    elsewhere: Path,
) -> None:
    before, started = accepted(), jobs(prod)
    head, planned = opened(prod, "bot", 16)
    approved(there, head, planned)
    other, also = opened(prod, "bot", 32)
    approved(there, other, also)
    git(prod, "merge", "--quiet", "--no-ff", "--message", "Merge #8", "bot-32")
    made = git(prod, "rev-parse", "HEAD")
    there.merged[made] = [{"number": 7, "merged_at": "2026", "head": {"sha": head}}]

    codes = [tell("apply", "--approved", "--report", str(elsewhere / "report.md")) for _ in range(2)]

    assert [code for code, _ in codes] == [4, 4]
    assert f"Pull request 7 was approved with plan {planned}; it would be plan {also} now" in codes[0][1]
    assert "nothing was applied" in (elsewhere / "report.md").read_text()
    assert (accepted(), jobs(prod)) == (before, started)


def test_of_two_that_change_the_same_the_later_one_counts(prod: Path, there: CodeHost) -> None:
    first = opened(prod, "bot", 16)
    approved(there, *first)
    merged(prod, there, "bot-16", first[0], 7)
    second = opened(prod, "bot", 32)
    approved(there, *second)
    made = merged(prod, there, "bot-32", second[0], 8)

    code, told = tell("apply", "--approved")

    assert code == 0, told
    assert "pull request 7" not in told
    assert f"pull request 8: plan {second[1]} was approved" in told
    assert accepted() == made[:7]


def test_a_commit_without_pull_request_or_status_is_refused_unless_it_changes_no_experiment(
    prod: Path,
    there: CodeHost,
) -> None:
    (prod / "notes.md").write_text("two\n")
    notes = commit(prod, "notes")
    calm, _ = tell("apply", "--approved")
    after = accepted()
    write_experiment(prod, "cat", adapter={"r": 2})
    pushed = commit(prod, "cat, straight to main")
    alone, told = tell("apply", "--approved")
    there.merged[pushed] = [{"number": 7, "merged_at": "2026", "head": {"sha": "abc0" * 10}}]
    unapproved, said = tell("apply", "--approved")

    assert (calm, after) == (0, notes[:7])
    assert (alone, unapproved) == (3, 3)
    assert "came with no pull request: nobody approved its plan" in told
    assert "has no plan in its status loraform/plan" in said
    assert accepted() == notes[:7]


def test_approval_is_about_the_whole_commit(prod: Path, there: CodeHost) -> None:
    code, told = tell("apply", "bot", "--approved")

    assert code == 1
    assert "about the whole commit" in told
