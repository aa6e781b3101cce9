"""What holds of every workflow: pinned actions, least permissions, no text of a pull request in a script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTION = ROOT / "action.yml"


def steps(path: Path) -> list[dict[str, Any]]:
    document = yaml.safe_load(path.read_text())
    jobs = document["jobs"].values() if "jobs" in document else [document["runs"]]
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("path", [*FILES, ACTION], ids=lambda path: path.name)
def test_actions_are_pinned_by_hash_with_their_version_beside_it(path: Path) -> None:
    for line in path.read_text().splitlines():
        if re.search(r"\buses:", line):
            assert re.search(r"uses: [\w.-]+/[\w.-]+(/[\w.-]+)*@[0-9a-f]{40} # v\d", line), line


@pytest.mark.parametrize("path", [*FILES, ACTION], ids=lambda path: path.name)
def test_scripts_hold_no_expressions(path: Path) -> None:
    for step in steps(path):
        assert "${{" not in step.get("run", ""), step


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_permitted_that_is_not_named_and_pull_requests_bring_no_rights(path: Path) -> None:
    document = yaml.safe_load(path.read_text())

    assert set(document["permissions"].values() if document["permissions"] else ()) <= {"read"}
    assert "pull_request_target" not in document[True]
    assert "concurrency" in document
    for job in document["jobs"].values():
        assert job["timeout-minutes"] <= 75
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_the_job_that_forks_run_can_write_nothing_and_has_no_identity() -> None:
    offline = yaml.safe_load((ROOT / ".github/workflows/plan.yml").read_text())["jobs"]["offline"]

    assert offline["permissions"] == {"contents": "read"}
    assert "GITHUB_TOKEN" not in str(offline)
    assert "google-github-actions" not in str(offline)
