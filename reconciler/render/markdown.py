"""A plan as Markdown, for the comment on a pull request: a table first, details folded, the worst on top.

What is too much for a comment is left out in whole rows and whole experiments, the least important first, and counted.
Text of manifests and clouds stands in code only (`marks`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reconciler.core.changes import Action, Plan
from reconciler.core.errors import Diagnostic, Severity
from reconciler.core.impact import Answers, Impact
from reconciler.core.resources import Role
from reconciler.render import impact as felt
from reconciler.render import marks, words
from reconciler.render.blocks import Block, Line, blocks, lines
from reconciler.render.diagnostics import tally

LIMIT = 60_000
"""Bytes of UTF-8 that a comment may have; GitHub takes 65,536 characters."""
_TABLE_SHARE = 0.5
"""Of the limit, while there are details to show."""
_DIAGNOSTICS_SHARE = 0.2
_HEAD = ("Experiment", "What happens", "Machine time", "Requests")
_TICKS = {"+": "+", "+-": "!", "~": "!", "-": "-", "!": "!", ".": " ", ">": " ", "": " "}
"""How the lines of a plan begin in a block that is shown as a diff."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Parts that fit, and how many did not."""

    text: str
    left_out: int


def plan_markdown(plan: Plan, *, where: str = "", limit: int = LIMIT, applies: bool = True) -> str:
    """The whole plan in at most `limit` bytes of UTF-8. `where` says which tree was planned, such as `main@4be21d`.

    A plan that no apply would make as it is (`applies=False`) has no id.
    """
    shown = sorted(blocks(plan), key=_weight)
    named = f" · plan {marks.code(plan.id)}" if applies and plan.id else ""
    told = "in sync" if words.quiet(plan) else words.summary(plan).removesuffix(".")
    head = f"### Loraform · {marks.code(plan.target)}: {told}\n\n{marks.code(where)}{named}\n"
    if words.quiet(plan):
        count = len({change.address.experiment for change in plan.changes})
        head += f"\n{count} experiment{'s' * (count != 1)} as git says.\n"
    room = limit - _size(head) - 600  # for what counts the parts that were left out
    notes = _diagnostics(plan.diagnostics, int(room * _DIAGNOSTICS_SHARE))
    room -= _size(notes)
    rows = _rows(shown, int(room * _TABLE_SHARE))
    room -= _size(rows)
    return "\n".join(part for part in (head, notes, rows, _details(shown, room)) if part)


def fitting_rows(head: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> tuple[str, int]:
    """A table of as many of the first rows as fit into so many bytes, and how many do not."""
    empty = marks.table(head, [])
    kept = _fitting([f"| {' | '.join(cells)} |\n" for cells in rows], room - _size(empty))
    return empty + kept.text, kept.left_out


def wrong_markdown(diagnostics: Iterable[Diagnostic], *, limit: int = LIMIT) -> str:
    """What stands where a plan would, when manifests have errors and nothing could be planned."""
    found = tuple(diagnostics)
    return f"### Loraform: {tally(found)}; nothing was planned\n\n{_diagnostics(found, limit - 600, open_=True)}"


def _weight(block: Block) -> tuple[int, float, str]:
    """What is destroyed or waits for a person comes first, then what costs most."""
    felt_by = block.impact or Impact(block.experiment)
    ends = felt_by.answers in (Answers.END, Answers.GAP)
    goes = any(change.action is Action.DELETE and change.address.role is Role.ENDPOINT for change in block.changes)
    held = any(change.action is Action.HOLD for change in block.changes)
    rank = 0 if ends or goes else 1 if held else 2 if felt_by.runs else 3
    seconds = felt_by.lasted * max(felt_by.lasted_on, 1) if felt_by.lasted else felt_by.longest or 1e9
    return rank, -seconds if felt_by.runs else 0.0, block.experiment


def _rows(shown: Sequence[Block], room: int) -> str:
    if not shown:
        return ""
    text, left_out = fitting_rows(_HEAD, [tuple(_cells(block)) for block in shown], room)
    if left_out:
        rest = Counter(block.headline for block in shown[len(shown) - left_out :])
        counted = ", ".join(
            f"{count} {headline}" for headline, count in sorted(rest.items(), key=lambda item: -item[1])
        )
        text += f"\n… and {left_out} more: {counted}. The full plan is in the artifact of this run.\n"
    return text


def _cells(block: Block) -> Iterator[str]:
    impact = block.impact or Impact(block.experiment)
    worst = impact.answers in (Answers.END, Answers.GAP) or block.headline in ("removed from git", "held")
    yield marks.code(block.experiment)
    yield f"**{block.headline}**" if worst else block.headline
    yield felt.spent(impact)
    begins = "begins to answer" if impact.answers is Answers.BEGIN else ""
    noticed = ", ".join(part for part in (begins, felt.answers(impact), felt.home(impact)) if part)
    yield noticed if impact.answers is not Answers.NONE else ""


def _details(shown: Sequence[Block], room: int) -> str:
    parts = [_detail(block) for block in shown]
    text, left_out = "", 0
    for part in parts:
        if _size(text) + _size(part) <= room:
            text += part
        else:
            left_out += 1
    if left_out:
        text += f"\nDetails of {left_out} experiment{'s' * (left_out != 1)} are left out here; the artifact has all.\n"
    return text


def _detail(block: Block) -> str:
    summary = f"{marks.html_code(block.experiment)} {block.headline}"
    return marks.folded(summary, marks.fence((text for line in lines(block) for text in _diff(line)), "diff"))


def _diff(line: Line) -> Iterator[str]:
    """One line of a plan as lines of a diff: a field is what it was and what it becomes."""
    mark, note = _TICKS[line.symbol], f"   # {line.note}" if line.note else ""
    if line.field is None:
        begin = "then " if line.symbol == ">" else ""
        yield f"{mark} {line.roles:<12} {begin}{line.text}".rstrip() + note
        return
    if line.roles:
        yield f"{mark} {line.roles}"
    path = words.clean(line.field.path)
    yield f"-   {path}: {words.value(line.field.before)}"
    yield f"+   {path}: {words.value(line.field.after)}{note}"


def _diagnostics(found: Iterable[Diagnostic], room: int, *, open_: bool = False) -> str:
    ordered = sorted(found, key=lambda item: (item.severity is not Severity.ERROR, item.source, item.rule))
    if not ordered:
        return ""
    made = [
        f"{item.source}: {item.severity}: {item.message} [{item.rule}]\n"
        + "".join(f"    {line}\n" for line in item.remedy.splitlines())
        for item in ordered
    ]
    kept = _fitting(made, room)
    text = marks.fence(kept.text.splitlines(), "text")
    more = f"\n… and {kept.left_out} more.\n" if kept.left_out else ""
    return text + more if open_ else marks.folded(tally(ordered), text + more)


def _fitting(parts: Sequence[str], room: int) -> Kept:
    """As many of the first parts as fit."""
    used = 0
    for number, part in enumerate(parts):
        used += _size(part)
        if used > room:
            return Kept("".join(parts[:number]), len(parts) - number)
    return Kept("".join(parts), 0)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
