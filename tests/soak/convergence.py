"""How a history ends: no more faults, the world goes well, and passes must bring about what git wants, as forecast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from reconciler.cloud.reconcile import Pass
from reconciler.core.changes import Action, Plan
from reconciler.core.report import Outcome
from tests.soak import repository
from tests.soak.cloud import open_cloud
from tests.soak.history import HOME, History, unsettled
from tests.soak.laws import EXPERIMENT, FLEET, SUSPENDED, Broken, done_keys
from tests.soak.steps import Step

PASSES = 40
"""Within so many passes a fleet must be as git wants it, once nothing goes wrong any more."""


@dataclass(frozen=True, slots=True)
class Told:
    """How a history went: what happened, line by line, the law that was broken, if any was, and how often what was."""

    lines: tuple[str, ...]
    broken: str = ""
    requests: int = 0
    counts: Counter[str] = field(default_factory=Counter)


def run(steps: Iterable[Step]) -> Told:
    """Live through the steps, then let the fleet converge."""
    with open_cloud() as cloud:
        history = History(cloud)
        broken = ""
        try:
            for step in steps:
                if step.kind == "quiet":
                    quiet(history, 3)
                else:
                    history.live(step)
            converge(history)
        except Broken as error:
            broken = str(error)
        counts = history.counts + Counter({f"work {key}": value for key, value in history.trainers.count.items()})
        return Told(tuple(history.lines), broken, history.requests, counts)


def converge(history: History) -> None:
    """What was suspended is resumed, every attempt is raised, and nothing goes wrong any more."""
    history.say("-- from now on all goes well")
    for endpoint in history.cloud.endpoints():
        if endpoint.labels[FLEET] == HOME and endpoint.labels[SUSPENDED]:
            resumed = history.by_hand(Random(0), "resume", endpoint.labels[EXPERIMENT])
            history.let_run([resumed], Random(0), calm=True)
    history.commits.append(repository.all_raised(history.commits[-1]))
    last = quiet(history, PASSES)
    if last is None or not last.settled:
        raise Broken(f"not at rest after {PASSES} passes: {unsettled(last.plan if last else None)}")
    history.laws.at_rest(last.plan, HOME)


def quiet(history: History, passes: int) -> Pass | None:
    """Some passes while all goes well, until there is nothing to do: what they do was in the forecast of the first."""
    random = Random(0)
    shown: frozenset[tuple[str, str, str]] | None = None
    seen: Pass | None = None
    for _ in range(passes):
        history.cloud.time.now += 700
        history.work(random, well=True)
        history.work(random, well=True)
        actor = history.begin(random, history.commits[-1])
        history.let_run([actor], random, calm=True)
        history.laws.after_step(history.trainers)
        if actor.result is None:
            raise Broken(f"{actor.name} fails when all goes well: {actor.error}")
        seen = actor.result
        shown = shown if shown is not None else in_forecast(seen.plan)
        check_forecast(shown, seen)
        if seen.settled:
            break
    return seen


def in_forecast(plan: Plan) -> frozenset[tuple[str, str, str]]:
    """All that a plan does, now and later."""
    return frozenset(
        key for change in (*plan.changes, *plan.follow) if change.action.mutates for key in done_keys(change)
    )


def check_forecast(shown: frozenset[tuple[str, str, str]], seen: Pass) -> None:
    """Everything that a pass did was shown by the forecast, and nothing failed."""
    for result in seen.results:
        if result.outcome is Outcome.FAILED:
            raise Broken(f"{result.change.address} {result.change.action} fails when all goes well: {result.message}")
        if result.outcome is Outcome.DONE and result.change.action is not Action.NOOP:
            new = [key for key in done_keys(result.change) if key not in shown]
            if new:
                raise Broken(f"{' '.join(new[0])} was in no forecast ({result.change.reason})")
