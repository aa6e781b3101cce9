"""Which way of carrying out a run is tried next: a ladder of strategies and regions, climbed after each lack.

The order is declared: all strategies in the first region, then all in the next. A stock-out, a preemption or a lack of
quota goes on to the next rung at once; other passing failures stay on theirs and wait. After the last rung everything
begins anew, after a wait that doubles with each round. Only live jobs and claims tell what was tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.core.resources import LiveResource, Resource


@dataclass(frozen=True, slots=True)
class Climb:
    """Where the next try stands."""

    rung: int = 0
    """The rung that is next."""
    at_once: bool = True
    """It is a fresh one of this round: there is nothing to wait for."""
    waits: int = 0
    """The waits so far, the one that is due now among them: rounds, and repetitions on one rung."""
    tries: int = 0
    """The tries so far, on all rungs."""


def climb(rungs: int, ended: Sequence[LiveResource]) -> Climb:
    """Where to go on after `ended`: the failed tries under one attempt key, oldest first, each with its rung."""
    step = Climb()
    for number, job in enumerate(ended, 1):
        climbs = job.failure is not None and job.failure.cause.climbs
        up = climbs and job.rung + 1 < rungs
        rung = job.rung + 1 if up else 0 if climbs else min(job.rung, max(rungs - 1, 0))
        step = Climb(rung, up, step.waits + (not up), number)
    return step


def on_rung(resource: Resource, rung: int) -> str:
    """`rung 2 of 4: standard in europe-west4`; "" for a run that has only one way."""
    if len(resource.rungs) < 2 or rung >= len(resource.rungs):
        return ""
    chosen = resource.rungs[rung]
    where = f" in {chosen.region}" if len({one.region for one in resource.rungs}) > 1 else ""
    return f"rung {rung + 1} of {len(resource.rungs)}: {chosen.strategy}{where}"
