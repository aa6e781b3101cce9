"""`loraform apply`: do what can be done now; with --wait, pass after pass until all is as git says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options
from reconciler.cli.screen import Screen
from reconciler.core.errors import LoraformError

if TYPE_CHECKING:
    from reconciler.cli.workplace import Workplace
    from reconciler.core.changes import Plan
    from reconciler.core.report import Result

WAIT = typer.Option("--wait", help="Go on until all is as git says, and show how training and deployment get on.")
EXPECT = typer.Option(help="Do it only if the plan still has this id.", metavar="PLAN_ID", show_default=False)
ACCEPTED = typer.Option(
    "--accepted", help="Apply the commit that was accepted last, not the working tree: what a schedule runs."
)
APPROVED = typer.Option(
    "--approved", help="Do it only if it is what was approved: the plan id in the status of each merged pull request."
)
REPORT = typer.Option(
    help="Write what was done and what is left as Markdown, for the comment; GitHub Actions gets the output `commit`.",
    show_default=False,
)
TIMEOUT = typer.Option(help="Seconds after which --wait gives up; what runs goes on running.", min=1)


def run(
    names: Annotated[list[str] | None, options.NAMES] = None,
    wait: Annotated[bool, WAIT] = False,
    expect: Annotated[str, EXPECT] = "",
    target: Annotated[str | None, options.TARGET] = None,
    allow_delete: Annotated[list[str] | None, options.ALLOW_DELETE] = None,
    allow_runs: Annotated[int, options.ALLOW_RUNS] = 0,
    allow_rolls: Annotated[int, options.ALLOW_ROLLS] = 0,
    timeout: Annotated[float, TIMEOUT] = 86_400.0,
    parallelism: Annotated[int, options.PARALLELISM] = 10,
    accepted: Annotated[bool, ACCEPTED] = False,
    approved: Annotated[bool, APPROVED] = False,
    report: Annotated[Path | None, REPORT] = None,
) -> int:
    """Make the target equal to git: do what can be done now, and say what waits. Safe to repeat, safe to stop.

    Exit code: 0 all was done that can be done now, 1 error, 3 something is held or refused, 4 the plan is no longer
    the expected one, 5 something serves degraded.
    """
    from reconciler.cli.applying import apply_all
    from reconciler.cli.showing import append_to
    from reconciler.cli.workplace import open_accepted, open_workplace
    from reconciler.render.markdown_report import refused_markdown, report_markdown
    from reconciler.repo.whole import write_whole

    def write(plan: Plan, results: list[Result]) -> None:
        if report is not None:
            write_whole(report, report_markdown(plan, results).encode("utf-8"))

    if approved and (accepted or expect or names):
        raise LoraformError("--approved is about the whole commit.", "Leave --accepted, --expect and names out.")
    if accepted and (allow_delete or allow_runs or allow_rolls):
        raise LoraformError(
            "--accepted allows nothing new: what a commit may do was said when it was accepted.",
            "Check it out and apply it with --allow-...",
        )
    seconds = timeout if wait else None
    with Screen() as screen:
        try:
            if accepted:
                with open_accepted(target, names, parallelism=parallelism) as workplace:
                    append_to("GITHUB_OUTPUT", f"commit={workplace.history.head}\n")
                    return apply_all(workplace, screen, expect=expect, wait=seconds, on_end=write)
            workplace = open_workplace(
                target,
                names,
                allow_delete=allow_delete or (),
                allow_runs=allow_runs,
                allow_rolls=allow_rolls,
                parallelism=parallelism,
            )
            append_to("GITHUB_OUTPUT", f"commit={workplace.history.head or ''}\n")
            approve = _approving(workplace, screen, target) if approved else None
            return apply_all(workplace, screen, expect=expect, wait=seconds, approve=approve, on_end=write)
        except LoraformError as error:
            if report is not None:
                write_whole(report, refused_markdown(error).encode("utf-8"))
            raise


def _approving(workplace: Workplace, screen: Screen, target: str | None) -> Callable[[Plan], None]:
    from reconciler.cli.approval import check_approved
    from reconciler.cli.pipeline import pipeline_of

    host = pipeline_of(None, None).host

    def approve(plan: Plan) -> None:
        for line in check_approved(workplace, plan, host, target):
            screen.note(line)

    return approve
