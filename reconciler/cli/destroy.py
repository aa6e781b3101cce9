"""`loraform destroy`: delete what is live of one experiment. History stays: run records and registered models."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli import options
from reconciler.cli.screen import Screen
from reconciler.core.errors import Refused


def run(
    name: Annotated[str, options.NAME],
    yes: Annotated[bool, options.YES] = False,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """Delete what is live of an experiment. Run records and registered models are history and are kept.

    While its manifest is in git, the next apply makes it again; remove the manifest to be rid of it.
    """
    from reconciler.cli.workplace import connect_only
    from reconciler.cloud.verbs import destroy, find
    from reconciler.render.words import clean

    with Screen() as screen:
        site = connect_only(target)
        found = find(site, name)
        going = [*found.runs, *found.deployments, *([found.endpoint] if found.endpoint else [])]
        if not going:
            screen.show(f"Nothing of {name} is live but its history, and that is kept.")
            return 0
        for item in going:
            screen.show(f"  - {item.address.role:<11} {clean(item.name)}")
        if not yes and not typer.confirm(f"Delete this on {site.target.name}?"):
            raise Refused("Nothing was deleted.")
        screen.note("Deleting ...")
        gone = destroy(site, name)
        screen.show(f"{len(gone)} deleted. While {name} is in git, the next apply makes it again.")
    return 0
