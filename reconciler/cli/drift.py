"""`loraform drift`: what was changed outside git and by whom, apart from what git wants and nobody has applied yet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options
from reconciler.cli.plan import FORMAT, Format
from reconciler.cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.cloud.site import Site
    from reconciler.core.drift import Difference
    from reconciler.render.drift import Callers

LOOKED_BACK = 400 * 86_400.0
"""Seconds: admin activity is kept for so long."""


ISSUE = typer.Option(
    "--issue", help="Keep one issue on the code host about it: opened, updated, closed when there is none left."
)


def run(
    shown: Annotated[Format, FORMAT] = Format.TEXT,
    target: Annotated[str | None, options.TARGET] = None,
    issue: Annotated[bool, ISSUE] = False,
) -> int:
    """Compare what is live with the accepted commit, on `local` with the working tree. Changes nothing.

    Who changed something is told where the audit log can be read. Exit code: 0 nothing was changed outside git,
    1 error, 2 something was.
    """
    from reconciler.cli.agreed import look_at_agreed
    from reconciler.core.drift import differences, drifted
    from reconciler.render.drift import drift_json, drift_text

    with Screen() as screen:
        agreed = look_at_agreed(target)
        site = agreed.site
        settled = site.clock.now() - site.patience.claim
        found = differences(agreed.seen.plan, agreed.seen.snapshot, settled=settled)
        callers = _callers(site, found, screen)
        tell = drift_json if shown is Format.JSON else drift_text
        where = f"{site.target.name}, {agreed.where}"
        screen.show(tell(found, where=where, callers=callers))
        if issue:
            told = drift_text(found, where=where, callers=callers).plain
            screen.note(_keep_issue(site.target.name, told, wanted=drifted(found)))
    return 2 if drifted(found) else 0


def _keep_issue(target: str, told: str, *, wanted: bool) -> str:
    from reconciler.cli.pipeline import pipeline_of
    from reconciler.hosts.issues import keep_issue
    from reconciler.render import marks

    at = pipeline_of(None, None)
    body = marks.fence(told.splitlines(), "text") + (f"\n[The run that saw it]({at.url})\n" if at.url else "")
    return keep_issue(at.host, f"drift-{target}", f"Drift on {target}", body, wanted=wanted)


def _callers(site: Site, found: Iterable[Difference], screen: Screen) -> Callers:
    """Who did it, for each difference that somebody made. A log that cannot be read is said once."""
    from reconciler.backends.endpoint import endpoint_id
    from reconciler.cloud.audit import last_caller
    from reconciler.core.culprits import suspect
    from reconciler.core.errors import CloudError

    begin = datetime.fromtimestamp(site.clock.now() - LOOKED_BACK, UTC)
    since = begin.isoformat(timespec="seconds").replace("+00:00", "Z")
    callers = {}
    try:
        for item in found:
            wanted = suspect(item, endpoint_id(site.target.fleet, item.address.experiment))
            caller = last_caller(site.vertex, wanted, since) if wanted else None
            if caller:
                callers[item.address, item.verdict] = caller
    except CloudError as error:
        screen.note(f"Who it was is not known: the audit log cannot be read ({error.message}; roles/logging.viewer).")
        return {}
    return callers
