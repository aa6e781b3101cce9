"""`loraform drift`: what was changed outside git, apart from what git wants and nobody has applied yet."""

from __future__ import annotations

from typing import Annotated

from reconciler.cli import options
from reconciler.cli.plan import FORMAT, Format
from reconciler.cli.screen import Screen


def run(
    shown: Annotated[Format, FORMAT] = Format.TEXT,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """Compare what is live with the accepted commit, on `local` with the working tree. Changes nothing.

    Exit code: 0 nothing was changed outside git, 1 error, 2 something was.
    """
    from reconciler.cli.agreed import look_at_agreed
    from reconciler.core.drift import differences, drifted
    from reconciler.render.drift import drift_json, drift_text

    with Screen() as screen:
        agreed = look_at_agreed(target)
        site = agreed.site
        settled = site.clock.now() - site.patience.claim
        found = differences(agreed.seen.plan, agreed.seen.snapshot, settled=settled)
        tell = drift_json if shown is Format.JSON else drift_text
        screen.show(tell(found, where=f"{site.target.name}, {agreed.where}"))
    return 2 if drifted(found) else 0
