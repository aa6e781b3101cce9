"""A plan as a person reads it in a terminal.

One block per experiment that is not as git says; its headline on the right, one line per resource, one line per
field that differs. Colour is the only thing that this renderer adds to `words`: taken away, nothing is lost.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from reconciler.core.changes import Plan
from reconciler.render import words
from reconciler.render.blocks import blocks, lines
from reconciler.render.diagnostics import diagnostics_text

NOTES = 69
"""The column of headlines and notes."""

_STYLES: Mapping[str, str] = {
    "+": "green", "+-": "yellow", "~": "yellow", "-": "red", "!": "bold red", ".": "cyan", ">": "dim",
}  # fmt: skip


def plan_text(plan: Plan, *, where: str = "", applies: bool = True) -> Text:
    """The whole plan. `where` says which tree was planned, such as `main@4be21d`.

    A plan that no apply would make as it is (`applies=False`) has neither an id nor a command to accept it.
    """
    text = Text()
    if plan.diagnostics:
        text.append_text(diagnostics_text(plan.diagnostics)).append("\n")
    if words.quiet(plan):
        experiments = {change.address.experiment for change in plan.changes}
        counted = f"{len(experiments)} experiment{'s' * (len(experiments) != 1)}"
        return text.append("in sync", "green").append(f"   {words.clean(plan.target)}: {counted} as git says.\n")
    named = f"plan {plan.id}" if applies else ""
    _row(text, f"{words.clean(plan.target)}  {words.clean(where)}".rstrip(), named, "bold")
    for block in blocks(plan):
        text.append("\n")
        _row(text, block.experiment, block.headline, "bold")
        for line in lines(block):
            _row(
                text,
                f" {line.symbol:>2} {line.roles:<12} {line.text}".rstrip(),
                line.note,
                _STYLES.get(line.symbol, ""),
            )
    text.append(f"\n{words.summary(plan)}", "bold")
    if plan.now and applies:
        text.append(f"   loraform apply --expect {plan.id}")
    return text.append("\n")


def _row(text: Text, left: str, right: str, style: str) -> None:
    text.append(left, style)
    if right:
        text.append(" " * max(NOTES - len(left), 2) + right)
    text.append("\n")
