"""`loraform unlock`: remove the lease of an apply that died. It needs the holder's name: nobody unlocks by accident."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from reconciler.cli import options
from reconciler.cli.screen import Screen

HOLDER = typer.Argument(
    help="The holder, as the refusal named it; without it, who holds the lease.", show_default=False
)


def run(holder: Annotated[str | None, HOLDER] = None, target: Annotated[str | None, options.TARGET] = None) -> int:
    """Show who holds the lease of a target, or remove it when its holder is named."""
    from reconciler.cli.workplace import connect_only
    from reconciler.cloud.lease import current, unlock

    with Screen() as screen:
        site = connect_only(target)
        if holder is not None:
            unlock(site.storage, site.target, holder)
            screen.show("Nobody holds the lease.")
            return 0
        leased = current(site.storage, site.target)
        if leased is None:
            screen.show("Nobody holds the lease.")
        else:
            since = datetime.fromtimestamp(leased.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            screen.show(f"{leased.holder} holds it since {since}.")
    return 0
