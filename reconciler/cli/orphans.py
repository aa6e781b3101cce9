"""`loraform orphans`: what is ours and live, but not in git, without traffic or without any request, and its price."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options
from reconciler.cli.plan import FORMAT, Format
from reconciler.cli.screen import Screen

if TYPE_CHECKING:
    from reconciler.cli.agreed import Agreed
    from reconciler.core.orphans import Orphan
    from reconciler.core.prices import Prices
    from schemas.project import Project

REQUESTS = typer.Option(
    help="Also list what serves and got no request for so many days, as far as its log tells.", min=1, metavar="DAYS",
    show_default=False,
)  # fmt: skip
_DAY = 86_400.0


def run(
    requests: Annotated[int | None, REQUESTS] = None,
    shown: Annotated[Format, FORMAT] = Format.TEXT,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """List what nobody needs, with what it costs a day where a price is known. `loraform gc` removes it.

    Registered models and run records are history, and kept. Exit code: 0 there is none, 1 error, 2 there is some.
    """
    from reconciler.cli.agreed import look_at_agreed
    from reconciler.core.orphans import orphans, priced
    from reconciler.render.orphans import orphans_json, orphans_text

    with Screen() as screen:
        agreed = look_at_agreed(target)
        found = orphans(agreed.seen.plan, agreed.seen.snapshot)
        if requests:
            found += _without_requests(agreed, found, requests, screen)
        prices = prices_of(agreed.project)
        found = priced(found, prices, agreed.site.target.region)
        if shown is Format.JSON:
            screen.show(orphans_json(found, source=prices.source))
        else:
            screen.show(orphans_text(found, source=prices.source, local=agreed.site.target.local))
    return 2 if found else 0


def prices_of(project: Project) -> Prices:
    """The table that comes with Loraform, with the project's own prices over it."""
    from reconciler.core.prices import Prices
    from schemas import prices

    hourly = {prices.REGION: dict(prices.HOURLY)}
    for region, own in project.prices.items():
        hourly[region] = {**hourly.get(region, {}), **own}
    return Prices(hourly, f"{prices.YOURS}; {prices.SOURCE}" if project.prices else prices.SOURCE)


def _without_requests(agreed: Agreed, found: tuple[Orphan, ...], days: int, screen: Screen) -> tuple[Orphan, ...]:
    """Requests are known from the log that the server writes, a line for each; there is no other count of them here."""
    from reconciler.cloud.logs import endpoint_was_asked
    from reconciler.core.errors import CloudError
    from reconciler.core.orphans import idle
    from reconciler.core.resources import Role

    site, snapshot = agreed.site, agreed.seen.snapshot
    before = site.clock.now() - days * _DAY
    since = datetime.fromtimestamp(before, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    serving = {str(item.outputs["endpoint"]) for item in snapshot.live if item.address.role is Role.DEPLOYMENT}
    asked = set()
    try:
        for number, endpoint in enumerate(sorted(serving), start=1):
            screen.meanwhile(f"Reading the logs of endpoints, {number} of {len(serving)}")
            if endpoint_was_asked(site.vertex, endpoint, since):
                asked.add(endpoint)
    except CloudError as error:
        screen.note(f"Nobody knows who was asked: the logs cannot be read ({error.message}).")
        return ()
    return idle(snapshot, found, asked, before)
