"""What apply did: a line for each change as it ends, and at the close what was not done and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from reconciler.core.changes import Action, Change, Plan, Reason
from reconciler.core.report import Outcome, Result
from reconciler.render import words

WIDTH = 30
"""Characters for experiment and role, so that lines that are printed one after the other stand in columns."""

_DONE: Mapping[Action, str] = {
    Action.CREATE: "created", Action.UPDATE: "updated", Action.DELETE: "deleted", Action.CANCEL: "cancelled",
}  # fmt: skip
_STYLES: Mapping[Outcome, str] = {
    Outcome.DONE: "green", Outcome.FAILED: "bold red", Outcome.HELD: "red", Outcome.SKIPPED: "yellow",
    Outcome.WAITING: "cyan",
}  # fmt: skip


def result_text(result: Result) -> Text:
    """One change and how it ended, on one line; the API's own words below it when it failed."""
    word = str(result.outcome)
    if result.outcome is Outcome.DONE:
        word = _DONE.get(result.change.action, word)
    first, *rest = result.message.splitlines() or [""]
    text = _line(word, _STYLES[result.outcome], result.change, words.clean(first) or _fields(result))
    for line in rest:
        text.append(f"{'':<10} {words.clean(line)}\n")
    return text


def closing_text(plan: Plan, results: Sequence[Result], *, interrupted: bool = False) -> Text:
    """What waits and what is held after the last pass, and the counts. `plan` is the plan of that pass."""
    text = Text()
    foreseen = {change.address for change in plan.follow}
    for change in plan.changes:
        if change.action is Action.HOLD:
            text.append_text(_line("held", "red", change, _why(change)))
            if way_out := words.way_out(change):
                text.append(f"{'':<{11 + WIDTH}} {way_out}\n")
        elif change.action is Action.WAIT and not words.announced(change, foreseen):
            text.append_text(_line("waiting", "cyan", change, _why(change)))
    outcomes = [result.outcome for result in results]
    counted = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in Outcome if outcome in outcomes)
    if interrupted:
        text.append("Interrupted. ", "bold yellow")
        text.append(f"{counted or 'Nothing was done'}; `loraform apply` goes on from here.\n")
    elif words.quiet(plan):
        text.append("in sync", "green").append(f"   {counted}.\n" if counted else "   nothing to do.\n")
    elif plan.follow and not any(outcome is Outcome.FAILED for outcome in outcomes):
        text.append(f"{counted or 'Nothing to do now'}; {len(plan.follow)} to follow. ", "bold")
        text.append("`loraform apply --wait` sees it through, later applies go on from here.\n")
    else:
        text.append(f"{counted or 'Nothing to do now'}.\n", "bold")
    return text


def _line(word: str, style: str, change: Change, rest: str) -> Text:
    name = words.clean(f"{change.address.experiment} {change.address.role}")
    text = Text()
    text.append(f"{word:<10} ", style)
    return text.append(f"{name:<{WIDTH}} {rest}".rstrip() + "\n")


def _fields(result: Result) -> str:
    if result.outcome is not Outcome.DONE:
        return ""
    if said := words.said(result.change):
        return "; ".join(said)
    if result.change.action is not Action.UPDATE:
        return ""
    return ", ".join(f"{words.clean(item.path)} {words.difference(item)}" for item in result.change.fields)


def _why(change: Change) -> str:
    if change.failure:
        return f"{words.failed(change.failure)} ({words.told(change.failure, change.detail)})"
    detail = words.clean(change.detail) or words.condition(change.waits_on, gated=False).replace("once", "until", 1)
    if change.reason is Reason.PREREQUISITE and detail:
        return detail
    return f"{change.reason}: {detail}" if detail else str(change.reason)
