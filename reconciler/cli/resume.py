"""`loraform resume`: let a suspended experiment be deployed again."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli import options
from reconciler.cli.screen import Screen

WAIT = typer.Option("--wait", help="Apply this experiment now, and wait until it serves.")
LONGEST = 86_400.0


def run(
    name: Annotated[str, options.NAME],
    wait: Annotated[bool, WAIT] = False,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """Deploy a suspended experiment again: the next apply does it, with --wait this command."""
    from reconciler.cli.applying import apply_all
    from reconciler.cli.workplace import connect_only, open_workplace
    from reconciler.cloud.verbs import resume

    with Screen() as screen:
        resume(connect_only(target), name)
        screen.show(f"{name} is no longer suspended.")
        if wait:
            return apply_all(open_workplace(target, [name]), screen, wait=LONGEST)
        screen.show("`loraform apply` deploys it.")
    return 0
