"""`loraform prune`: which artifacts of finished runs nobody needs, and what to go back to them would cost."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli import options
from reconciler.cli.plan import FORMAT, Format
from reconciler.cli.screen import Screen

NAMES = typer.Argument(help="Only artifacts of these experiments.", show_default=False, metavar="[NAME]...")
YES = typer.Option("--yes", "-y", help="Do it.")
EXPECT = typer.Option(help="Do it only if it still has this id.", metavar="PRUNE_ID", show_default=False)


def run(
    names: Annotated[list[str] | None, NAMES] = None,
    yes: Annotated[bool, YES] = False,
    expect: Annotated[str, EXPECT] = "",
    shown: Annotated[Format, FORMAT] = Format.TEXT,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """Show which artifacts would go: all but what serves, what one of the last 20 commits of a manifest names, and the
    newest three of each experiment. With --yes they go, with their model versions; run records stay and say so.

    Exit code: 0 nothing to prune, or all pruned, 1 error, 2 something would go, 3 refused, 4 it has another id now.
    """
    from reconciler.cli.applying import interruptible
    from reconciler.cli.retained import Named, may_look, retained
    from reconciler.cli.tree import may_apply
    from reconciler.cli.workplace import open_workplace
    from reconciler.cloud.lease import acquire
    from reconciler.cloud.pruning import prune
    from reconciler.core.errors import Stale
    from reconciler.render.prune import prune_json, prune_text, pruned_text

    with Screen() as screen:
        workplace, git = open_workplace(target), Named()
        may_look(workplace)
        may_apply(workplace)
        site = workplace.site
        seen = retained(workplace, target, names or (), git, screen)
        tell = prune_json if shown is Format.JSON else prune_text
        screen.show(tell(seen.pruning, seen.past, where=site.target.name))
        if expect and not seen.pruning.id.startswith(expect):
            raise Stale(f"It is prune {seen.pruning.id} now, not {expect}; nothing was done.", "Read it again.")
        going = seen.pruning.going
        if not yes or not going:
            return 2 if going else 0
        with interruptible(screen) as stop, acquire(site.storage, site.target, site.clock, stop=stop) as lease:
            again = retained(workplace, target, names or (), git, screen)
            if again.pruning.id != seen.pruning.id:
                raise Stale(f"It is prune {again.pruning.id} now; nothing was done.", "Run the command again.")
            for item in going:
                if stop.is_set():
                    screen.note("Stopped. What is half done is finished by the next `loraform prune --yes`.")
                    return 130
                screen.show(pruned_text(item, prune(site, item, again.store, lease.check)))
    return 0
