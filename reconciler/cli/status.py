"""`loraform status`: what is live for each experiment, and why something stands still."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli import options
from reconciler.cli.screen import Screen


def run(
    names: Annotated[list[str] | None, typer.Argument(help="Only these experiments.", show_default=False)] = None,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """Show training, model, deployment, traffic and endpoint of each experiment, and what holds it."""
    from reconciler.cli.reading import check_names
    from reconciler.cli.workplace import open_workplace
    from reconciler.cloud.reconcile import look
    from reconciler.render.status import rows_of, status_text

    with Screen() as screen:
        workplace = open_workplace(target)
        seen = look(workplace.site, workplace.wish)
        rows = rows_of(seen.plan, seen.snapshot)
        check_names(names or (), {row.experiment for row in rows})
        screen.show(status_text(row for row in rows if not names or row.experiment in names))
    return 0
