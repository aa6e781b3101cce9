"""Plan ids, accepted commits and scheduled passes on a cloud target: what was refused stays refused."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from reconciler.cli.main import run
from tests.cli.conftest import write_experiment
from tests.cli.test_cloud_target import git, prod  # noqa: F401 - a fixture
from tests.emulator_fixture import emulator_calls

pytestmark = pytest.mark.slow


def tell(*arguments: str) -> tuple[int, str]:
    """Exit code, and all that was printed."""
    told = io.StringIO()
    with redirect_stdout(told), redirect_stderr(told):
        code = run(list(arguments))
    return code, told.getvalue()


def commit(repository: Path, message: str) -> str:
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", message)
    return git(repository, "rev-parse", "HEAD")


def id_of(told: str) -> str:
    found = re.search(r"plan ([0-9a-f]{12})", told)
    assert found, told
    return found[1]


def accepted() -> str:
    """The accepted commit, in a few digits."""
    found = re.search(r"accepted commit ([0-9a-f]{7})", tell("drift")[1])
    return found[1] if found else ""


def jobs(repository: Path) -> int:
    """How many jobs were created."""
    found = re.search(r"api_endpoint: '(.*)'", (repository / "loraform.yaml").read_text())
    assert found
    calls = emulator_calls(found[1])
    return sum(call["method"].endswith("CreateCustomJob") and call["status"] == 200 for call in calls)


def test_a_plan_of_a_pull_request_has_the_id_of_its_apply_whatever_becomes_of_others(prod: Path) -> None:  # noqa: F811
    git(prod, "switch", "--quiet", "--create", "topic")
    write_experiment(prod, "cat", adapter={"r": 2})
    commit(prod, "cat")
    planned = id_of(tell("plan")[1])
    git(prod, "switch", "--quiet", "main")
    tell("apply")  # meanwhile the training of the other experiment starts
    (prod / "notes.md").write_text("two\n")
    commit(prod, "notes")
    git(prod, "merge", "--quiet", "--no-ff", "--message", "merge cat", "topic")

    code, told = tell("apply", "--expect", planned)

    assert code == 0, told
    assert id_of(told) == planned
    assert re.search(r"created +cat training", told)


def test_a_pull_request_that_changes_no_experiment_has_an_id_that_nothing_moves(prod: Path) -> None:  # noqa: F811
    git(prod, "switch", "--quiet", "--create", "topic")
    (prod / "notes.md").write_text("two\n")
    commit(prod, "notes")
    before = id_of(tell("plan")[1])
    git(prod, "switch", "--quiet", "main")
    tell("apply")
    git(prod, "switch", "--quiet", "topic")

    after = id_of(tell("plan")[1])

    assert before == after


def test_a_row_that_changes_in_a_file_of_the_repository_is_in_the_id(prod: Path) -> None:  # noqa: F811
    git(prod, "switch", "--quiet", "--create", "topic")
    (prod / "rows.jsonl").write_text('{"messages": []}\n' * 4)
    commit(prod, "a row")
    one = id_of(tell("plan")[1])
    (prod / "rows.jsonl").write_text('{"messages": []}\n' * 5)
    commit(prod, "another row")

    other = id_of(tell("plan")[1])

    assert one != other


def test_what_a_commit_removes_is_in_the_id(prod: Path) -> None:  # noqa: F811
    write_experiment(prod, "cat", adapter={"r": 2})
    commit(prod, "cat")
    tell("apply")
    (prod / "experiments/cat.yaml").unlink()
    commit(prod, "no cat")
    planned = id_of(tell("plan")[1])

    code, told = tell("apply", "--expect", planned)

    assert code == 0, told
    assert re.search(r"cancelled +cat training", told)


def test_a_commit_that_leaves_nothing_to_do_now_is_accepted_for_what_follows(prod: Path) -> None:  # noqa: F811
    """Its training runs already; the number of replicas counts when it is deployed."""
    tell("apply")
    write_experiment(prod, "bot", serving={"max_replica_count": 3})
    head = commit(prod, "three replicas")

    code, told = tell("apply")

    assert (code, "created" in told) == (0, False), told
    assert accepted() == head[:7]


def test_a_scheduled_pass_applies_the_accepted_commit_and_not_the_refused_one(prod: Path) -> None:  # noqa: F811
    head = git(prod, "rev-parse", "HEAD")
    tell("apply")
    write_experiment(prod, "cat", adapter={"r": 2})
    commit(prod, "cat")
    refused, _ = tell("apply", "--expect", "000000000000")
    write_experiment(prod, "dog")  # and the tree is dirty

    code, told = tell("apply", "--accepted")

    assert (refused, code) == (4, 0), told
    assert accepted() == head[:7]
    assert jobs(prod) == 1


def test_a_scheduled_pass_does_what_is_left_of_the_accepted_commit(prod: Path) -> None:  # noqa: F811
    """The files are read from the commit: on the branch that is checked out they are not."""
    tell("apply")
    tell("destroy", "bot", "--yes")
    git(prod, "switch", "--quiet", "--create", "elsewhere")
    git(prod, "rm", "--quiet", "-r", "rows.jsonl", "experiments")
    commit(prod, "nothing")

    code, told = tell("apply", "--accepted")

    assert code == 0, told
    assert re.search(r"created +bot endpoint", told)
    assert "accepted@" in told


def test_before_anything_was_accepted_a_scheduled_pass_says_so(prod: Path) -> None:  # noqa: F811
    code, told = tell("apply", "--accepted")

    assert code == 1
    assert "`loraform apply` accepts a commit." in told


def test_a_scheduled_pass_takes_no_permissions(prod: Path) -> None:  # noqa: F811
    code, told = tell("apply", "--accepted", "--allow-runs", "7")

    assert code == 1
    assert "allows nothing new" in told


def test_a_selection_accepts_a_commit_only_when_nothing_else_is_new_in_it(prod: Path) -> None:  # noqa: F811
    tell("apply")
    write_experiment(prod, "bot", adapter={"r": 16})
    second = commit(prod, "rank")
    alone, _ = tell("apply", "bot")
    then = accepted()
    write_experiment(prod, "bot", adapter={"r": 32})
    write_experiment(prod, "cat", adapter={"r": 2})
    commit(prod, "rank and cat")

    code, told = tell("apply", "bot")

    assert (alone, code) == (0, 0), told
    assert then == second[:7]
    assert f"The accepted commit stays {second[:12]}: this one changes more (cat)." in told
    assert accepted() == second[:7]
