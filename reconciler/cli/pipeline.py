"""Which pipeline this is, and what it runs for: GitHub Actions and GitLab CI say so in variables."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.core.errors import LoraformError
from reconciler.hosts.github import API as GITHUB_API
from reconciler.hosts.github import github
from reconciler.hosts.gitlab import API as GITLAB_API
from reconciler.hosts.gitlab import gitlab
from reconciler.hosts.host import Host


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A repository on a code host, and what the pipeline says about itself."""

    host: Host
    number: int | None
    """The pull request."""
    head: str
    """The commit at its head, "" where nobody says."""
    order: int | None
    """Rises from run to run; None outside of a pipeline."""
    url: str
    """Where a person sees the run."""


def pipeline_of(host: str | None, repository: str | None, environment: Mapping[str, str] | None = None) -> Pipeline:
    """The host of this pipeline, or the named one. LoraformError where host, repository or token are not known."""
    seen = os.environ if environment is None else environment
    kind = host or ("gitlab" if seen.get("GITLAB_CI") else "github")
    if kind == "github":
        return _github(seen, repository)
    if kind == "gitlab":
        return _gitlab(seen, repository)
    raise LoraformError(f"There is no host `{kind}`.", "github or gitlab")


def _github(seen: Mapping[str, str], repository: str | None) -> Pipeline:
    named = repository or _wanted(seen, "GITHUB_REPOSITORY", "--repository OWNER/NAME")
    token = _wanted(seen, "GITHUB_TOKEN", "In a workflow: env: GITHUB_TOKEN: ${{ github.token }}")
    request = _event(seen.get("GITHUB_EVENT_PATH", "")).get("pull_request") or {}
    run = seen.get("GITHUB_RUN_ID", "")
    server = seen.get("GITHUB_SERVER_URL", "https://github.com")
    return Pipeline(
        github(token, named, seen.get("GITHUB_API_URL") or GITHUB_API),
        int(request["number"]) if str(request.get("number", "")).isdigit() else None,
        str((request.get("head") or {}).get("sha") or ""),
        _order(run, seen.get("GITHUB_RUN_ATTEMPT", "")),
        f"{server}/{named}/actions/runs/{run}" if run else "",
    )


def _gitlab(seen: Mapping[str, str], repository: str | None) -> Pipeline:
    named = repository or _wanted(seen, "CI_PROJECT_ID", "--repository GROUP/NAME")
    token = _wanted(seen, "GITLAB_TOKEN", "A project access token with the scope `api`, as a masked variable.")
    number = seen.get("CI_MERGE_REQUEST_IID", "")
    return Pipeline(
        gitlab(token, named, seen.get("CI_API_V4_URL") or GITLAB_API),
        int(number) if number.isdigit() else None,
        seen.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or seen.get("CI_COMMIT_SHA", ""),
        _order(seen.get("CI_PIPELINE_ID", ""), ""),
        seen.get("CI_JOB_URL", ""),
    )


def _order(run: str, attempt: str) -> int | None:
    """Runs are numbered, and so is a rerun of one."""
    if not run.isdigit():
        return None
    return int(run) * 100 + (int(attempt) if attempt.isdigit() else 0)


def _event(path: str) -> Mapping[str, Any]:
    if not path or not Path(path).is_file():
        return {}
    found = json.loads(Path(path).read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def _wanted(seen: Mapping[str, str], name: str, remedy: str) -> str:
    if not seen.get(name):
        raise LoraformError(f"{name} is not set.", remedy)
    return seen[name]
