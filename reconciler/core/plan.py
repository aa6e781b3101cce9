"""`make_plan`: the decision table as a total, pure function of (desired, live, now).

Same values in, same plan out, whatever their order. What will follow is computed by the same table, run forward over
an imagined world (`forecast.py`); what is too much for one plan is held (`guardrails.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from reconciler.core.changes import Change, Plan, plan_id
from reconciler.core.errors import Diagnostic, Severity
from reconciler.core.felt import impacts
from reconciler.core.forecast import forecast
from reconciler.core.guardrails import Limits, guard
from reconciler.core.resources import Resource, Snapshot, Source
from reconciler.core.table import decide
from reconciler.core.verdict import Bound
from reconciler.core.world import Patience, World, world_of


def make_plan(
    desired: Iterable[Resource],
    snapshot: Snapshot,
    *,
    now: float,
    target: str,
    only: Collection[str] | None = None,
    patience: Patience | None = None,
    limits: Limits | None = None,
    diagnostics: Iterable[Diagnostic] = (),
    about: Collection[str] | None = None,
) -> Plan:
    """What one pass would do now, what would follow, and what waits for a person.

    `now` is in seconds since the epoch. `only` selects experiments by name; a plan with a selection never removes
    anything on the ground that git does not name it. `about` are the experiments that the plan's id tells of (None:
    all); what is done about the others is in the plan, and not in its id. Raises LoraformError when `desired` has a
    cycle.
    """
    world = world_of(desired, snapshot, now, patience or Patience())
    limits = limits or Limits()

    def guarded(at: World) -> tuple[Change, ...]:
        return guard(decide(at, only), limits, at)

    changes = guarded(world)
    follow = forecast(world, changes, guarded)
    diagnostics = (*diagnostics, *_doubts(changes, world))
    return Plan(
        target=target,
        changes=changes,
        follow=follow,
        diagnostics=tuple(sorted(diagnostics, key=lambda item: (item.source, item.rule, item.message))),
        impacts=impacts(changes, follow, snapshot),
        id=plan_id(changes, follow, about),
    )


def _doubts(changes: Iterable[Change], world: World) -> Iterator[Diagnostic]:
    """Warnings of verdicts that are given in this plan, at the bound: of margins that so few rows cannot show."""
    for change in changes:
        if change.after and change.verdict and change.action.mutates and not change.verdict.kept:
            gated = world.gated.get(change.address)
            places = {bound.text: place for bound, place in _bounds(gated)}
            for item in change.verdict.judged:
                if item.warning:
                    way = "Widen the margin, or evaluate on more rows."
                    place = places.get(item.text, change.after.source)
                    yield Diagnostic(place, "gate-rows", item.warning, way, Severity.WARNING)


def _bounds(gated: Resource | None) -> Iterator[tuple[Bound, Source]]:
    return zip(gated.gate.bounds, gated.gate.sources, strict=False) if gated and gated.gate else iter(())
