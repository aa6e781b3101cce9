"""`loraform logs`: the log of an experiment's newest training or evaluation, in words, and where Google shows it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

import typer

from reconciler.cli import options
from reconciler.cli.screen import Screen
from reconciler.cloud.logs import console_link, job_logs
from reconciler.cloud.site import Site
from reconciler.cloud.snapshot import take_snapshot
from reconciler.core.errors import LoraformError
from reconciler.core.resources import RUNS, LiveResource, Phase
from reconciler.render.progress import log_line

FOLLOW = typer.Option("--follow", "-f", help="Go on until the job has ended.")


def run(
    name: Annotated[str, options.NAME],
    follow: Annotated[bool, FOLLOW] = False,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """Print the log of the experiment's newest training, or of a later evaluation.

    With --follow the exit code says whether it succeeded.
    """
    from reconciler.cli.workplace import connect_only

    with Screen() as screen:
        site = connect_only(target)
        job = newest_job(site, name)
        link = console_link(site.target, job.name)
        if link:
            screen.note(link)
        return follow_log(site, job, screen, follow)


def newest_job(site: Site, experiment: str) -> LiveResource:
    """The newest job of an experiment, that trains or evaluates. Raises LoraformError when there is none."""
    snapshot = take_snapshot(site.vertex, site.storage, site.target, ())
    jobs = [item for item in snapshot.live if item.address.experiment == experiment and item.address.role in RUNS]
    if not jobs:
        raise LoraformError(f"No training job of {experiment} is to be found.", "See `loraform status`.")
    return max(jobs, key=lambda item: (item.created, item.name))


def follow_log(
    site: Site, job: LiveResource, screen: Screen, follow: bool, sleep: Callable[[float], None] = time.sleep
) -> int:
    """Print what is there, then what comes until the job has ended; 0 unless a followed job failed."""
    since, shown = "", set[tuple[str, str]]()
    while True:
        ended = not follow or _phase(site, job) in (Phase.READY, Phase.FAILED)
        for stamp, line in job_logs(site.vertex, job.name, since):
            if (stamp, line) in shown:
                continue
            # Entries may share a timestamp: the newest ones are asked for again, and printed once.
            shown = {entry for entry in shown if entry[0] == stamp} | {(stamp, line)}
            since = stamp
            screen.show(log_line(line))
        if ended:
            return 1 if follow and _phase(site, job) is Phase.FAILED else 0
        sleep(1.0 if site.target.local else 10.0)


def _phase(site: Site, job: LiveResource) -> Phase:
    from reconciler.cloud.snapshot import runs_of

    found = [item for item in runs_of(site.vertex, site.target, job.stamp) if item.name == job.name]
    return found[0].phase if found else Phase.UNKNOWN
