"""`loraform gc`: the part of the plan that removes what nobody needs; with --yes it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options
from reconciler.cli.screen import Screen

if TYPE_CHECKING:
    from reconciler.cli.workplace import Workplace
    from reconciler.core.report import Result

YES = typer.Option("--yes", "-y", help="Do it.")
EXPECT = typer.Option(help="Do it only if the plan still has this id.", metavar="PLAN_ID", show_default=False)
ROUNDS = 4
"""An endpoint goes in the round after its deployments."""


def run(
    yes: Annotated[bool, YES] = False,
    expect: Annotated[str, EXPECT] = "",
    target: Annotated[str | None, options.TARGET] = None,
    allow_delete: Annotated[list[str] | None, options.ALLOW_DELETE] = None,
) -> int:
    """Show how orphans would be removed; with --yes remove them and touch nothing else.

    Exit code: 0 nothing to remove, or all removed, 1 error, 2 something is to be removed, 3 something is held, 4 it is
    no longer the expected plan.
    """
    from reconciler.cli.plan import exit_code
    from reconciler.cli.tree import may_apply
    from reconciler.cli.workplace import open_workplace
    from reconciler.cloud.reconcile import look
    from reconciler.core.errors import Stale
    from reconciler.core.orphans import removal_plan
    from reconciler.core.report import Outcome
    from reconciler.render.terminal import plan_text

    with Screen() as screen:
        workplace = open_workplace(target, allow_delete=allow_delete or ())
        plan = removal_plan(look(workplace.site, workplace.wish).plan)
        if not plan.changes:
            screen.show(f"Nothing on {plan.target} is to be removed.")
            return 0
        screen.show(plan_text(plan, where=workplace.where, applies=False))
        if expect and not plan.id.startswith(expect):
            raise Stale(f"The plan is {plan.id} now, not {expect}; nothing was done.", "Read it and accept that one.")
        if not yes:
            screen.note(f"`loraform gc --yes --expect {plan.id}` does it.")
            return exit_code(plan)
        may_apply(workplace)
        results = _remove(workplace, plan.id, screen)
        return 1 if any(result.outcome is Outcome.FAILED for result in results) else 3 if plan.blocked else 0


def _remove(workplace: Workplace, printed: str, screen: Screen) -> list[Result]:
    """Round after round under the lease, each with a look of its own, until nothing is left that can go now.

    What is done must be what is on the screen: Stale when the first round's plan is not the one that was `printed`.
    """
    from reconciler.cli.applying import interruptible
    from reconciler.cloud.apply import apply_plan
    from reconciler.cloud.lease import acquire
    from reconciler.cloud.reconcile import look
    from reconciler.core.errors import Stale
    from reconciler.core.orphans import removal_plan
    from reconciler.render.report import result_text

    site = workplace.site
    done: list[Result] = []
    with interruptible(screen) as stop, acquire(site.storage, site.target, site.clock, stop=stop) as lease:
        for number in range(ROUNDS):
            seen = look(site, workplace.wish)
            plan = removal_plan(seen.plan)
            if number == 0 and plan.id != printed:
                raise Stale(f"The plan is {plan.id} now, not {printed}; nothing was done.", "Run the command again.")
            if not plan.now:
                break
            report = apply_plan(
                plan,
                seen.snapshot,
                site,
                by=str(lease.holder),
                lease=lease,
                commit=workplace.wish.commit,
                stop=stop,
                on_result=lambda result: screen.show(result_text(result)),
            )
            done += report.results
            if report.failed or report.interrupted:
                break
    return done
