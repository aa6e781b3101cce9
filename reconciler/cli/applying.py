"""One apply from plan to exit code: print the plan, do it, tell each result, and say what is left and why."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from reconciler.cli.screen import Screen
from reconciler.cli.tree import may_apply, note_accepted
from reconciler.cli.watch import Watch
from reconciler.cli.workplace import Workplace
from reconciler.cloud.reconcile import Pass, converge, look, one_pass
from reconciler.core.changes import Action, Plan, Reason
from reconciler.core.errors import Stale
from reconciler.core.report import Outcome, Result
from reconciler.core.resources import Phase, Role
from reconciler.render.report import closing_text, result_text
from reconciler.render.terminal import plan_text

POLL = 0.5
"""Seconds between two looks at the embedded Vertex AI; at a cloud target it is asked less often."""
CLOUD_POLL = 10.0
LONGEST, LONGEST_NEAR = 30.0, 2.0
"""How far the time between two looks grows; an address of one's own is the embedded Vertex AI's."""


def apply_all(
    workplace: Workplace,
    screen: Screen,
    *,
    expect: str = "",
    wait: float | None = None,
    approve: Callable[[Plan], None] | None = None,
    on_end: Callable[[Plan, list[Result]], None] = lambda plan, results: None,
) -> int:
    """Apply the workplace's wish. `expect` is a plan id or its first digits; `wait` seconds of passes, None for one.

    `approve` sees the plan before anything is done and raises when it is not what was agreed on; then the plan that it
    saw is the expected one. `on_end` gets the last plan, and all that was done.

    Returns the exit code of `loraform apply`. Raises `core.errors`.
    """
    may_apply(workplace)
    with interruptible(screen) as stop:
        seen, results = _first_pass(workplace, screen, expect, stop, approve)
        if wait is not None and not stop.is_set() and not _settled(seen, results):
            seen, more = _wait(workplace, screen, wait, stop)
            results += more
        screen.show(closing_text(seen.plan, results, interrupted=stop.is_set()))
        on_end(seen.plan, results)
        if stop.is_set():
            return 130
    return exit_code(seen, results)


def exit_code(seen: Pass, results: list[Result]) -> int:
    """1 when the API refused something, 5 when something serves degraded, 3 when something is held, else 0."""
    if any(result.outcome is Outcome.FAILED for result in results):
        return 1
    serving = [item for item in seen.snapshot.live if item.address.role is Role.DEPLOYMENT and not item.history]
    if any(item.phase in (Phase.FAILED, Phase.UNKNOWN) and item.spec.get("traffic") for item in serving):
        return 5
    held = [change for change in seen.plan.blocked if change.reason is not Reason.SUSPENDED]
    return 3 if held else 0


@contextmanager
def interruptible(screen: Screen) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets: the calls in flight are finished. The second one ends at once.

    Ending at once is what a kill does: the lease is left to lapse, and the next apply looks what became of the calls.
    """
    stop = threading.Event()

    def asked(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        screen.note("Finishing the calls in flight, then stopping. Once more: stop at once.")

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    except KeyboardInterrupt:
        screen.note("Stopped at once. The next apply looks what became of the calls in flight.")
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _first_pass(
    workplace: Workplace,
    screen: Screen,
    expect: str,
    stop: threading.Event,
    approve: Callable[[Plan], None] | None,
) -> tuple[Pass, list[Result]]:
    """Print the plan; do it when there is something to do. Without changes no lease is taken."""
    seen = look(workplace.site, workplace.wish)
    if expect and not seen.plan.id.startswith(expect):
        screen.show(plan_text(seen.plan, where=workplace.where))
        raise Stale(f"The plan is {seen.plan.id} now, not {expect}; nothing was done.", "Read it and accept that one.")
    screen.show(plan_text(seen.plan, where=workplace.where))
    if approve is not None:
        approve(seen.plan)
        expect = seen.plan.id
    if not seen.plan.now:
        # What is agreed on counts for what follows as well, such as a setting of what is still being trained.
        _accept(workplace, screen, seen.plan)
        return seen, []
    done: list[Result] = []
    printed = seen.plan.id

    def about_to(plan: Plan) -> None:
        if plan.id == printed:
            _accept(workplace, screen, plan)
        elif not expect:
            # The world moved between the look and the lease: what is done must be what is on the screen.
            screen.show(plan_text(plan, where=workplace.where))
            _accept(workplace, screen, plan)

    seen = one_pass(
        workplace.site,
        workplace.wish,
        expect=printed if expect else "",
        stop=stop,
        on_plan=about_to,
        on_result=_telling(screen, done),
    )
    return seen, done


def _accept(workplace: Workplace, screen: Screen, plan: Plan) -> None:
    word = note_accepted(workplace, plan)
    if word:
        screen.note(word)


def _wait(workplace: Workplace, screen: Screen, seconds: float, stop: threading.Event) -> tuple[Pass, list[Result]]:
    watch = Watch(workplace.site, screen)
    near = workplace.site.target.api_endpoint is not None
    done: list[Result] = []
    begun = time.monotonic()
    seen, _ = converge(
        workplace.site,
        workplace.wish,
        deadline=seconds,
        interval=POLL if near else CLOUD_POLL,
        longest=LONGEST_NEAR if near else LONGEST,
        stop=stop,
        on_progress=watch.look_at,
        on_result=_telling(screen, done),
    )
    if not stop.is_set() and time.monotonic() - begun + POLL > seconds and not seen.settled:
        screen.note(f"Not done after {seconds:.0f} s; what runs goes on. `loraform apply --wait` waits again.")
    return seen, done


def _telling(screen: Screen, done: list[Result]) -> Callable[[Result], None]:
    def tell(result: Result) -> None:
        done.append(result)
        screen.show(result_text(result))

    return tell


def _settled(seen: Pass, results: list[Result]) -> bool:
    """Nothing was done and nothing is under way: another look would show the same."""
    return not results and all(change.action in (Action.NOOP, Action.HOLD) for change in seen.plan.changes)
