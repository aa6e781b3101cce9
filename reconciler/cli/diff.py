"""`loraform diff`: what going from one revision to another would bring about; git alone is asked."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli import options
from reconciler.cli.plan import FORMAT, Format, exit_code
from reconciler.cli.root import find_root
from reconciler.cli.screen import Screen

FIRST = typer.Argument(help="The commit, branch or tag that the world is as.", metavar="REV1", show_default=False)
SECOND = typer.Argument(help="The one that it is to become.", metavar="[REV2]")


def run(
    first: Annotated[str, FIRST],
    second: Annotated[str, SECOND] = "HEAD",
    shown: Annotated[Format, FORMAT] = Format.TEXT,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """Plan between two git revisions, with no cloud and no server: as if all that REV1 wants were live.

    Exit code: 0 nothing would be done, 1 error, 2 changes, 3 something would wait for a person.
    """
    from reconciler.cli.revisions import read_revision
    from reconciler.core.between import plan_between
    from reconciler.render.difference import difference_text
    from reconciler.render.json_plan import plan_json

    root = find_root()
    with (
        Screen() as screen,
        read_revision(root, first, target, strict=False) as old,
        read_revision(root, second, target, strict=True) as new,
    ):
        assert new.repository is not None
        plan = plan_between(
            old.desired,
            new.desired,
            target=new.repository.target.name,
            diagnostics=(*old.diagnostics, *new.diagnostics),
        )
        where = f"{old.short}..{new.short}"
        borrowed = sorted({*old.revision.borrowed, *new.revision.borrowed})
        if borrowed:
            screen.note(f"Ignored by git, so taken as it lies here: {', '.join(borrowed)}")
        screen.show(plan_json(plan, where=where) if shown is Format.JSON else difference_text(plan, where=where))
        return exit_code(plan)
