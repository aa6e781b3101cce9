"""Passes: look, plan, apply; once, or again and again until nothing is left to do.

Each pass is complete in itself and remembers nothing of the one before; a process that ends between two passes, or
in one, leaves work for the next and nothing to repair.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from reconciler.cloud.apply import apply_plan
from reconciler.cloud.causes import with_causes
from reconciler.cloud.lease import acquire
from reconciler.cloud.site import Site
from reconciler.cloud.snapshot import Listing, take_snapshot
from reconciler.cloud.sweeps import due, settle
from reconciler.core.changes import Action, Plan
from reconciler.core.errors import Diagnostic, Stale
from reconciler.core.guardrails import Limits
from reconciler.core.plan import make_plan
from reconciler.core.report import Outcome, Report, Result
from reconciler.core.resources import Resource, Snapshot


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for: desired resources, the commit they come from, and how far a pass may go."""

    desired: tuple[Resource, ...]
    commit: str = ""
    only: Collection[str] | None = None
    limits: Limits = field(default_factory=Limits)
    diagnostics: tuple[Diagnostic, ...] = ()
    about: Collection[str] | None = None
    """The experiments that the plan's id tells of: those that this commit changes. None: all."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass: what was seen, decided and done. `report` is None when there was nothing to do."""

    snapshot: Snapshot
    plan: Plan
    report: Report | None = None

    @property
    def settled(self) -> bool:
        """Nothing is left but what is in sync and what waits for a person."""
        return all(change.action in (Action.NOOP, Action.HOLD) for change in self.plan.changes)

    @property
    def results(self) -> tuple[Result, ...]:
        """The results of the report, if there is one."""
        return self.report.results if self.report else ()


def look(site: Site, wish: Wish, listing: Listing | None = None) -> Pass:
    """Snapshot and plan; changes nothing and takes no lease. A `listing` may have begun before the wish was known."""
    snapshot = take_snapshot(site.vertex, site.storage, site.target, wish.desired, site.workers, listing)
    snapshot = with_causes(snapshot, wish.desired, site.tail)
    plan = make_plan(
        wish.desired,
        snapshot,
        now=site.clock.now(),
        target=site.target.name,
        only=wish.only,
        patience=site.patience,
        limits=wish.limits,
        diagnostics=wish.diagnostics,
        about=wish.about,
    )
    return Pass(snapshot, plan)


def one_pass(
    site: Site,
    wish: Wish,
    *,
    expect: str = "",
    stop: threading.Event | None = None,
    on_plan: Callable[[Plan], None] = lambda plan: None,
    on_result: Callable[[Result], None] = lambda result: None,
) -> Pass:
    """Under the lease: look, check that the plan is `expect` (its id; "" for any), do what can be done now.

    Raises Stale with nothing done when the plan is another one; Refused when somebody else is applying.
    `on_plan` sees the plan before anything is done.
    """
    with acquire(site.storage, site.target, site.clock, stop=stop) as lease:
        seen = look(site, wish)
        if settle(site, seen.snapshot):
            seen = look(site, wish)
        on_plan(seen.plan)
        if expect and seen.plan.id != expect:
            raise Stale(f"the plan is {seen.plan.id} now, not {expect}", "Read the new plan and accept that one.")
        report = apply_plan(
            seen.plan,
            seen.snapshot,
            site,
            by=str(lease.holder),
            lease=lease,
            commit=wish.commit,
            stop=stop,
            on_result=on_result,
        )
    return Pass(seen.snapshot, seen.plan, report)


def converge(
    site: Site,
    wish: Wish,
    *,
    deadline: float,
    interval: float = 1.0,
    longest: float = 30.0,
    stop: threading.Event | None = None,
    on_progress: Callable[[Pass], None] = lambda seen: None,
    on_result: Callable[[Result], None] = lambda result: None,
) -> tuple[Pass, tuple[Result, ...]]:
    """Pass after pass until all is in sync, waits for a person or has failed, or `deadline` seconds are over.

    Between passes that found nothing to do it only looks, without a lease, every `interval` seconds, slowly growing
    to `longest` (on the embedded target every `interval`). An experiment of which something failed does not keep the
    others from going on, nor the end from coming. `on_progress` sees every look. Returns the last pass and all that
    was done on the way.
    """
    stop = stop or threading.Event()
    end = site.clock.monotonic() + deadline
    done: list[Result] = []
    pause = interval
    while True:
        seen = look(site, wish)
        acted = bool(seen.plan.now)
        if acted or due(seen.snapshot):
            seen = one_pass(site, wish, stop=stop, on_result=on_result)
            done += [result for result in seen.results if result.change.action.mutates]
        on_progress(seen)
        broken = {result.change.address.experiment for result in seen.results if result.outcome is Outcome.FAILED}
        open_ends = [
            change
            for change in seen.plan.changes
            if change.action not in (Action.NOOP, Action.HOLD) and change.address.experiment not in broken
        ]
        if acted and not broken:
            pause = interval
        if not open_ends or stop.is_set() or site.clock.monotonic() + pause > end:
            return seen, tuple(done)
        _sleep(site, pause, stop)
        if broken or not site.target.local:
            pause = min(longest, pause * 1.5)


def _sleep(site: Site, seconds: float, stop: threading.Event) -> None:
    """Sleep in slices, so that an interruption is answered within half a second."""
    end = site.clock.monotonic() + seconds
    while (left := end - site.clock.monotonic()) > 0 and not stop.is_set():
        site.clock.sleep(min(left, 0.5))
