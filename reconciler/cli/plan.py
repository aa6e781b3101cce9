"""`loraform plan`: show what apply would do now and what would follow. Changes nothing and takes no lease."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from reconciler.cli import options
from reconciler.cli.screen import Screen
from reconciler.core.changes import Plan, Reason


class Format(StrEnum):
    """How a plan is printed."""

    TEXT = "text"
    JSON = "json"


FORMAT = typer.Option("--format", help="For people, or for programs (schemas/json/plan.schema.json).")


def run(
    names: Annotated[list[str] | None, options.NAMES] = None,
    shown: Annotated[Format, FORMAT] = Format.TEXT,
    target: Annotated[str | None, options.TARGET] = None,
    allow_delete: Annotated[list[str] | None, options.ALLOW_DELETE] = None,
    allow_runs: Annotated[int, options.ALLOW_RUNS] = 0,
    allow_rolls: Annotated[int, options.ALLOW_ROLLS] = 0,
) -> int:
    """Show what apply would do now, what would follow, and what waits for a person.

    Exit code: 0 nothing to do now (or only waiting), 1 error, 2 changes, 3 blocked.
    """
    from reconciler.cli.workplace import open_workplace
    from reconciler.cloud.reconcile import look
    from reconciler.render.json_plan import plan_json
    from reconciler.render.terminal import plan_text
    from reconciler.repo.many import quiet_collector

    # A plan ends soon: cycles among a million objects are not worth looking for.
    with Screen() as screen, quiet_collector():
        workplace = open_workplace(
            target, names, allow_delete=allow_delete or (), allow_runs=allow_runs, allow_rolls=allow_rolls, ahead=True
        )
        plan = look(workplace.site, workplace.wish, workplace.listing).plan
        if shown is Format.JSON:
            screen.show(plan_json(plan, where=workplace.where))
        else:
            screen.show(plan_text(plan, where=workplace.where))
        return exit_code(plan)


def exit_code(plan: Plan) -> int:
    """0 nothing to do now, 2 changes, 3 something waits for a person. What a person suspended waits for nobody."""
    if plan.now:
        return 2
    return 3 if any(change.reason is not Reason.SUSPENDED for change in plan.blocked) else 0
