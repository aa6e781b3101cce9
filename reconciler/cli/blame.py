"""`loraform blame`: which commit answers the requests of an experiment right now."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from reconciler.cli import options
from reconciler.cli.root import find_root
from reconciler.cli.screen import Screen
from reconciler.core.errors import LoraformError


class Format(StrEnum):
    """How the answer is printed."""

    TEXT = "text"
    JSON = "json"


FORMAT = typer.Option("--format", help="For people, or for programs.")
NAME = typer.Argument(help="The experiment, or its endpoint.", metavar="NAME|ENDPOINT", show_default=False)
DEEP = 200
"""Commits of a manifest that are looked through."""


def run(
    name: Annotated[str, NAME],
    shown: Annotated[Format, FORMAT] = Format.TEXT,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """Show the commits whose model answers requests now, with their shares.

    A deployment belongs to the newest commit of this branch whose manifest wants exactly it.
    """
    from reconciler.cli.lineage import note_shallow, read_lineage
    from reconciler.cli.workplace import connect_only
    from reconciler.cloud.traces import traces_of
    from reconciler.core.lineage import joined, unexplained
    from reconciler.core.resources import Role
    from reconciler.render.history import answering_json, answering_text

    root = find_root()
    with Screen() as screen:
        site = connect_only(target)
        name = name.rsplit("/", 1)[-1].removeprefix(f"lf-{site.target.fleet}-")
        steps = read_lineage(root, name, target, DEEP)
        note_shallow(root, screen)
        names = {step.point.experiment for step in steps}
        resources = (item for step in steps for item in step.point.resources)
        trainings = sorted({item.identity for item in resources if item.address.role is Role.TRAINING})
        traces = traces_of(site, names, trainings)
        if not any(traces.traffic.values()):
            raise LoraformError(f"Nothing answers for {name} now.", "See `loraform status`.")
        rows = joined(steps, traces)
        answering = [row for row in rows if row.traffic]
        strange = unexplained(rows, traces)
        if shown is Format.JSON:
            screen.show(answering_json(name, answering, strange))
        else:
            screen.show(answering_text(name, answering, strange))
    return 0
