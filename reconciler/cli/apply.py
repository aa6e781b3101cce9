"""`loraform apply`: do what can be done now; with --wait, pass after pass until all is as git says."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli import options
from reconciler.cli.screen import Screen
from reconciler.core.errors import LoraformError

WAIT = typer.Option("--wait", help="Go on until all is as git says, and show how training and deployment get on.")
EXPECT = typer.Option(help="Do it only if the plan still has this id.", metavar="PLAN_ID", show_default=False)
ACCEPTED = typer.Option(
    "--accepted", help="Apply the commit that was accepted last, not the working tree: what a schedule runs."
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
) -> int:
    """Make the target equal to git: do what can be done now, and say what waits. Safe to repeat, safe to stop.

    Exit code: 0 all was done that can be done now, 1 error, 3 something is held or refused, 4 the plan is no longer
    the expected one, 5 something serves degraded.
    """
    from reconciler.cli.applying import apply_all
    from reconciler.cli.workplace import open_accepted, open_workplace

    with Screen() as screen:
        if accepted:
            if allow_delete or allow_runs or allow_rolls:
                raise LoraformError(
                    "--accepted allows nothing new: what a commit may do was said when it was accepted.",
                    "Check it out and apply it with --allow-...",
                )
            with open_accepted(target, names, parallelism=parallelism) as workplace:
                return apply_all(workplace, screen, expect=expect, wait=timeout if wait else None)
        workplace = open_workplace(
            target,
            names,
            allow_delete=allow_delete or (),
            allow_runs=allow_runs,
            allow_rolls=allow_rolls,
            parallelism=parallelism,
        )
        return apply_all(workplace, screen, expect=expect, wait=timeout if wait else None)
