"""`loraform orphans`: what is ours and live, but not in git or without any request."""

from __future__ import annotations

from typing import Annotated

from reconciler.cli import options
from reconciler.cli.plan import FORMAT, Format
from reconciler.cli.screen import Screen


def run(
    shown: Annotated[Format, FORMAT] = Format.TEXT,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """List what nobody needs. `loraform gc` removes it. Registered models and run records are history, and kept.

    Exit code: 0 there is none, 1 error, 2 there is some.
    """
    from reconciler.cli.agreed import look_at_agreed
    from reconciler.core.orphans import orphans
    from reconciler.render.drift import orphans_json, orphans_text

    with Screen() as screen:
        agreed = look_at_agreed(target)
        found = orphans(agreed.seen.plan, agreed.seen.snapshot)
        screen.show(orphans_json(found) if shown is Format.JSON else orphans_text(found))
    return 2 if found else 0
