"""`loraform diff`: what going from one revision to another would bring about; git alone is asked."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli import options
from reconciler.cli.plan import exit_code
from reconciler.cli.screen import Screen
from reconciler.cli.showing import PLAN_FORMAT, PlanFormat, show_plan

FIRST = typer.Argument(help="The commit, branch or tag that the world is as.", metavar="REV1", show_default=False)
SECOND = typer.Argument(help="The one that it is to become.", metavar="[REV2]")


def run(
    first: Annotated[str, FIRST],
    second: Annotated[str, SECOND] = "HEAD",
    shown: Annotated[PlanFormat, PLAN_FORMAT] = PlanFormat.TEXT,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """Plan between two git revisions, with no cloud and no server: as if all that REV1 wants were live.

    Exit code: 0 nothing would be done, 1 error, 2 changes, 3 something would wait for a person.
    """
    from reconciler.cli.offline import plan_offline

    with Screen() as screen:
        seen = plan_offline(f"{first}..{second}", target, screen)
        show_plan(seen, shown, screen, {})
        return exit_code(seen.plan)
