"""`loraform ledger`: the history of all experiments, from git and from what is live, as a site of plain files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options
from reconciler.cli.root import find_root
from reconciler.cli.screen import Screen
from reconciler.core.errors import LoraformError

if TYPE_CHECKING:
    from reconciler.cli.ledger_live import Live
    from reconciler.core.target import Target
    from reconciler.render.ledger.values import Entry, Fleet
    from reconciler.repo.past import Past
    from schemas.project import Project

OUT = typer.Option(help="The folder to write: a new or empty one, or that of an earlier ledger.", show_default=False)
OFFLINE = typer.Option("--offline", help="Ask git only, and say so on every page.")
AT = typer.Option(
    help="The time that the pages say they were made at, RFC 3339. [default: now]", metavar="TIME", show_default=False
)


def run(
    out: Annotated[Path, OUT],
    offline: Annotated[bool, OFFLINE] = False,
    at: Annotated[str | None, AT] = None,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """Write a static site: every experiment with its commits, runs, gates, versions and traffic; every endpoint.

    It opens from a file and on any web server, and asks nothing of other servers. What is known of the same moment
    gives the same bytes. Where the target cannot be asked, git's part is told.
    """
    from reconciler.cli.lineage import note_shallow
    from reconciler.cli.reading import HASHES, raise_project_errors
    from reconciler.cli.site_files import write_site
    from reconciler.cli.target import target_of
    from reconciler.render.ledger.site import pages
    from reconciler.repo.manifests import load
    from reconciler.repo.past import read_past

    root = find_root()
    made = _moment(at)
    with Screen() as screen:
        loaded = load(root, target)
        raise_project_errors(loaded)
        note_shallow(root, screen)
        screen.meanwhile("Reading the history of the branch")

        def place(project: Project) -> Target:
            return target_of(project, target, root, must_run=False)

        past = read_past(root, target, place, root / HASHES)
        live, why = (None, "--offline was given.") if offline else _live(past, target, screen)
        fleet = _fleet(root, past, live, place(loaded.project), why, made)
        count = write_site(out, pages(fleet))
        screen.show(f"{count} files in {out}: {len(fleet.entries)} experiments, {len(past.commits)} commits.")
    return 0


def _moment(at: str | None) -> str:
    try:
        found = datetime.fromisoformat(at) if at else datetime.now(UTC)
    except ValueError as error:
        raise LoraformError(f"`{at}` is no time.", "Write it as 2026-11-25T20:00:00Z.") from error
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _live(past: Past, target: str | None, screen: Screen) -> tuple[Live | None, str]:
    from reconciler.cli.ledger_live import read_live

    screen.meanwhile("Asking the target")
    try:
        return read_live(past.steps, target), ""
    except LoraformError as error:
        why = f"{error.message} {error.remedy}".rstrip()
        screen.note(f"Only what git tells: {why}")
        return None, why


def _fleet(root: Path, past: Past, live: Live | None, target: Target, why: str, made: str) -> Fleet:
    from reconciler.render.ledger.values import Fleet, Shared
    from reconciler.repo.commits import is_shallow
    from reconciler.repo.history import read_history

    history = read_history(root)
    shared = tuple(
        Shared(
            name,
            name in past.shared,
            past.shared[name].model.base if name in past.shared else "",
            tuple(
                (
                    one.commit.id,
                    one.commit.at,
                    one.commit.subject,
                    tuple(
                        (public, tuple((who, f"{share} %") for who, share in shares)) for public, shares in one.routes
                    ),
                )
                for one in found
            ),
        )
        for name, found in sorted(past.endpoints.items())
    )
    return Fleet(
        name=target.fleet,
        target=target.name,
        branch=history.branch or "detached",
        commit=history.head or "",
        made=made,
        unasked=why,
        entries=tuple(_entry(name, past, live) for name in sorted(past.steps)),
        shared=shared,
        commits=len(past.commits),
        notes=("This clone is shallow: older commits are not in it.",) if is_shallow(root) else (),
    )


def _entry(name: str, past: Past, live: Live | None) -> Entry:
    from reconciler.core.lineage import Traces, joined
    from reconciler.core.resources import Role
    from reconciler.render.ledger.values import UNASKED, Entry

    steps, experiment = past.steps[name], past.experiments.get(name)
    traces = live.traces[name] if live else Traces()
    rows = joined(steps, traces)
    runs = {step.stamp(Role.TRAINING) for step in steps}
    near = runs | {live.told[stamp].champion for stamp in runs if live and stamp in live.told}
    known = {stamp: live.metrics[stamp] for stamp in near if stamp in live.metrics} if live else {}
    # What the newest commit's evaluation measured counts: another set of rows trains nothing.
    own = {row.step.stamp(Role.TRAINING): row.run.metrics for row in reversed(rows) if row.run and row.run.metrics}
    shares = {step.stamp(Role.DEPLOYMENT): traces.served.get(step.stamp(Role.DEPLOYMENT), ()) for step in steps}
    served = sorted(
        ((stamp, given) for stamp, given in shares.items() if given), key=lambda one: (one[1][0].at, one[0])
    )
    return Entry(
        name=name,
        rows=rows,
        declared=experiment is not None,
        owner=(experiment.owner or "") if experiment else "",
        description=(experiment.description or "") if experiment else "",
        base=experiment.model.base if experiment else "",
        health=live.health[name] if live else UNASKED,
        sync=live.sync[name] if live else UNASKED,
        endpoint=live.endpoints.get(name, "") if live else "",
        told={stamp: live.told[stamp] for stamp in sorted(runs) if stamp in live.told} if live else {},
        metrics=dict(sorted((known | own).items())),
        costs={stamp: live.costs[stamp] for stamp in sorted(runs) if stamp in live.costs} if live else {},
        hours={stamp: live.hours[stamp] for stamp in sorted(runs) if stamp in live.hours} if live else {},
        served=tuple(served),
    )
