"""`loraform comment`: keep one comment on a pull request, and say the plan's id in a status of its head."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.screen import Screen
from reconciler.core.errors import LoraformError

FILE = typer.Argument(help="Markdown, such as `loraform plan --write markdown=FILE` writes; - for stdin.")
NUMBER = typer.Option("--pull-request", help="Its number. [default: the one that this pipeline runs for]", min=1)
HOST = typer.Option(help="github or gitlab. [default: the one whose pipeline this is]", show_default=False)
REPOSITORY = typer.Option(help="OWNER/NAME, or a GitLab project. [default: this pipeline's]", show_default=False)
KEY = typer.Option(help="Which comment, where there are several: one for each target, say.")
PLAN_ID = typer.Option(help="Say this plan's id in the status loraform/plan of the head.", show_default=False)
HEAD = typer.Option(help="The commit that the status is about. [default: this pipeline's head]", show_default=False)
MERGED = typer.Option(
    help="On each pull request that this commit of the default branch came with.", metavar="COMMIT", show_default=False
)
FAILED = typer.Option("--failed", help="The status says that there is no plan.")

_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_ID = re.compile(r"[0-9a-f]{12}")
LIMIT = 65_000
"""Bytes; what a plan writes is shorter."""


def run(
    file: Annotated[Path, FILE],
    number: Annotated[int | None, NUMBER] = None,
    host: Annotated[str | None, HOST] = None,
    repository: Annotated[str | None, REPOSITORY] = None,
    key: Annotated[str, KEY] = "plan",
    plan_id: Annotated[str | None, PLAN_ID] = None,
    head: Annotated[str | None, HEAD] = None,
    failed: Annotated[bool, FAILED] = False,
    merged: Annotated[str | None, MERGED] = None,
) -> int:
    """Write the file into the pull request's one comment: a new one, or the old one in place. Safe to repeat.

    The token comes from GITHUB_TOKEN or GITLAB_TOKEN. A later run's text is never overwritten by an earlier run.
    """
    from reconciler.cli.pipeline import pipeline_of
    from reconciler.hosts.comments import write_comment
    from reconciler.hosts.host import State, Status

    if not _KEY.fullmatch(key):
        raise LoraformError(f"`{key}` cannot be a comment's key.", "Lower-case letters, digits and dashes.")
    if plan_id and not _ID.fullmatch(plan_id):
        raise LoraformError(f"`{plan_id}` is no plan id.", "It has 12 hex digits, and stands in the plan's first line.")
    body = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    if len(body.encode("utf-8", "surrogatepass")) > LIMIT:
        raise LoraformError(f"{file} has more than {LIMIT} bytes: no comment takes that.")
    with Screen() as screen:
        at = pipeline_of(host, repository)
        if merged:
            for request in at.host.merged_by(merged):
                written = write_comment(at.host, request.number, key, body, at.order)
                screen.show(f"comment {written.id} on pull request {request.number}: {written.word}")
            return 0
        wanted = number or at.number
        if wanted is None:
            raise LoraformError("No pull request is named.", "--pull-request NUMBER")
        commit = head or at.head
        if (plan_id or failed) and not commit:
            raise LoraformError("A status needs a commit.", "--head COMMIT")
        written = write_comment(at.host, wanted, key, body, at.order)
        screen.show(f"comment {written.id} on pull request {wanted}: {written.word}")
        if (plan_id or failed) and commit:
            status = (
                Status(f"loraform/{key}", State.FAILURE, "no plan: see the comment", at.url)
                if failed
                else Status(f"loraform/{key}", State.SUCCESS, f"plan {plan_id}", at.url)
            )
            at.host.set_status(commit, status)
            screen.show(f"status {status.context} of {commit[:12]}: {status.state}, {status.description}")
    return 0
