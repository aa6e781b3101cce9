"""What lies between two revisions, as a person reads it: a plan that nobody can apply as it is."""

from __future__ import annotations

from rich.text import Text

from reconciler.core.changes import Plan
from reconciler.render import words
from reconciler.render.diagnostics import diagnostics_text
from reconciler.render.terminal import plan_text


def difference_text(plan: Plan, *, where: str) -> Text:
    """The plan between two revisions; `where` names them, such as `4be21d..7f3a9c`."""
    if not words.quiet(plan):
        return plan_text(plan, where=where, applies=False)
    text = Text()
    if plan.diagnostics:
        text.append_text(diagnostics_text(plan.diagnostics)).append("\n")
    experiments = {change.address.experiment for change in plan.changes}
    counted = f"{len(experiments)} experiment{'s' * (len(experiments) != 1)}"
    text.append("no difference", "green")
    return text.append(f"   {words.clean(where)}: nothing of {counted} would change on {words.clean(plan.target)}.\n")
