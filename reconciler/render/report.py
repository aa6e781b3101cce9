"""What one pass of apply did, one line per change, and what it did not do and why."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from reconciler.core.changes import Action, Change
from reconciler.core.report import Outcome, Report, Result
from reconciler.render import words

_DONE: Mapping[Action, str] = {
    Action.CREATE: "created", Action.UPDATE: "updated", Action.DELETE: "deleted", Action.CANCEL: "cancelled",
}  # fmt: skip
_STYLES: Mapping[Outcome, str] = {
    Outcome.DONE: "green", Outcome.FAILED: "bold red", Outcome.HELD: "red", Outcome.SKIPPED: "yellow",
    Outcome.WAITING: "cyan",
}  # fmt: skip


def report_text(report: Report) -> Text:
    """Every result that is more than "nothing to do", then the counts."""
    text = Text()
    shown = [result for result in report.results if result.change.action is not Action.NOOP]
    width = max((len(_name(result.change)) for result in shown), default=0)
    for result in shown:
        text.append(f"{_word(result):<10}", _STYLES[result.outcome])
        text.append(f"{_name(result.change):<{width}}  {_why(result)}".rstrip() + "\n")
    if report.interrupted:
        text.append("interrupted: what is marked skipped was not begun; run `loraform apply` again.\n", "yellow")
    return text.append(f"{counts(report)}\n", "bold")


def counts(report: Report) -> str:
    """`3 done, 1 waiting.`, or that there was nothing to do."""
    moving = [result.outcome for result in report.results if result.change.action is not Action.NOOP]
    parts = [f"{moving.count(outcome)} {outcome}" for outcome in Outcome if outcome in moving]
    return ", ".join(parts) + "." if parts else "Nothing to do."


def _word(result: Result) -> str:
    if result.outcome is Outcome.DONE:
        return _DONE.get(result.change.action, str(result.outcome))
    return str(result.outcome)


def _name(change: Change) -> str:
    return words.clean(f"{change.address.experiment} {change.address.role}")


def _why(result: Result) -> str:
    change = result.change
    if result.message:
        return words.clean(result.message)
    if result.outcome is Outcome.DONE:
        return ", ".join(f"{words.clean(item.path)} {words.difference(item)}" for item in change.fields)
    detail = words.clean(change.detail) or words.condition(change.waits_on, gated=False).replace("once", "until", 1)
    return f"{change.reason}: {detail}" if detail else str(change.reason)
