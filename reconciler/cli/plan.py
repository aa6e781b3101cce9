"""`loraform plan`: show what apply would do now and what would follow. Changes nothing and takes no lease."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Annotated

import typer

from reconciler.cli import options
from reconciler.cli.screen import Screen
from reconciler.cli.showing import PLAN_FORMAT, WRITE, PlanFormat, Shown, parse_writes, show_plan, show_wrong
from reconciler.core.changes import Plan, Reason
from reconciler.core.errors import LoraformError


class Format(StrEnum):
    """How a plan is printed."""

    TEXT = "text"
    JSON = "json"


FORMAT = typer.Option("--format", help="For people, or for programs.")


AGAINST = typer.Option(
    help="Plan with no cloud at all, as if all that this revision wants were live.",
    metavar="git:REV",
    show_default=False,
)


def run(
    names: Annotated[list[str] | None, options.NAMES] = None,
    shown: Annotated[PlanFormat, PLAN_FORMAT] = PlanFormat.TEXT,
    write: Annotated[list[str] | None, WRITE] = None,
    against: Annotated[str | None, AGAINST] = None,
    target: Annotated[str | None, options.TARGET] = None,
    allow_delete: Annotated[list[str] | None, options.ALLOW_DELETE] = None,
    allow_runs: Annotated[int, options.ALLOW_RUNS] = 0,
    allow_rolls: Annotated[int, options.ALLOW_ROLLS] = 0,
) -> int:
    """Show what apply would do now, what would follow, and what waits for a person.

    Exit code: 0 nothing to do now (or only waiting), 1 error, 2 changes, 3 blocked; with --format github 0 or 1, so
    that changes are no red build.
    """
    from reconciler.repo.many import quiet_collector

    writes = parse_writes(write)
    # A plan ends soon: cycles among a million objects are not worth looking for.
    with Screen() as screen, quiet_collector():
        try:
            if against is not None:
                seen = _offline(against, names, target, screen)
            else:
                seen = _live(target, names, allow_delete or (), allow_runs, allow_rolls)
        except LoraformError as error:
            show_wrong(error, shown, screen, writes)
            raise
        show_plan(seen, shown, screen, writes)
        return 0 if shown is PlanFormat.GITHUB else exit_code(seen.plan)


def _live(
    target: str | None, names: list[str] | None, allow_delete: Collection[str], allow_runs: int, allow_rolls: int
) -> Shown:
    from reconciler.cli.workplace import open_workplace
    from reconciler.cloud.reconcile import look

    workplace = open_workplace(
        target, names, allow_delete=allow_delete, allow_runs=allow_runs, allow_rolls=allow_rolls, ahead=True
    )
    return Shown(look(workplace.site, workplace.wish, workplace.listing).plan, workplace.where)


def _offline(against: str, names: list[str] | None, target: str | None, screen: Screen) -> Shown:
    from reconciler.cli.offline import plan_offline

    kind, _, revisions = against.partition(":")
    if kind != "git" or not revisions:
        raise LoraformError(f"--against {against} names no revision.", "git:REV, such as --against git:origin/main")
    if names:
        raise LoraformError("--against plans all experiments: leave their names out.")
    return plan_offline(revisions, target, screen)


def exit_code(plan: Plan) -> int:
    """0 nothing to do now, 2 changes, 3 something waits for a person. What a person suspended waits for nobody."""
    if plan.now:
        return 2
    return 3 if any(change.reason is not Reason.SUSPENDED for change in plan.blocked) else 0
