"""What an apply did, as Markdown: the comment of a pull request after its merge, from pass to pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reconciler.core.changes import Action, Change, Plan
from reconciler.core.errors import LoraformError
from reconciler.core.report import Outcome, Result
from reconciler.render import marks, words
from reconciler.render.markdown import LIMIT, fitting_rows

_HEAD = ("", "Experiment", "What", "How it stands")
_DONE: Mapping[Action, str] = {
    Action.CREATE: "created", Action.UPDATE: "updated", Action.DELETE: "deleted", Action.CANCEL: "cancelled",
}  # fmt: skip
_SIGNS: Mapping[Outcome, str] = {
    Outcome.DONE: "✅", Outcome.FAILED: "❌", Outcome.HELD: "⏸️", Outcome.SKIPPED: "➖", Outcome.WAITING: "⏳",
}  # fmt: skip


def report_markdown(plan: Plan, results: Sequence[Result], *, limit: int = LIMIT) -> str:
    """What was done, what waits and what is held. `plan` is that of the last pass, made after all that was done."""
    failed = [item for item in results if item.outcome is Outcome.FAILED]
    held = [change for change in plan.changes if change.action is Action.HOLD]
    if failed:
        told = f"{len(failed)} failed"
    elif held:
        told = f"{len(held)} held"
    elif words.quiet(plan):
        told = "in sync"
    else:
        told = "under way"
    head = f"### Loraform · {marks.code(plan.target)}: {told}\n\n"
    if words.quiet(plan) and not results:
        return head + "Nothing was to do: all is as git says.\n"
    rows = [*_left(plan), *(_done(item) for item in sorted(results, key=lambda item: item.outcome is Outcome.DONE))]
    text, left_out = fitting_rows(_HEAD, rows, limit - len(head.encode()) - 300)
    more = f"\n… and {left_out} more rows.\n" if left_out else ""
    following = len([change for change in plan.follow if change.action.mutates])
    after = f"\n{following} to follow; the next pass goes on from here.\n" if following else ""
    return head + text + more + after


def refused_markdown(error: LoraformError) -> str:
    """What stands there when nothing was done, and why."""
    return f"### Loraform: nothing was applied\n\n{marks.fence([error.message, *error.remedy.splitlines()], 'text')}"


def _done(result: Result) -> tuple[str, ...]:
    change = result.change
    word = _DONE.get(change.action, str(result.outcome)) if result.outcome is Outcome.DONE else str(result.outcome)
    said = marks.code(words.told_first(result.message), words.TOLD)
    return _SIGNS[result.outcome], *_who(change), " ".join(part for part in (word, said) if part)


def _left(plan: Plan) -> Iterator[tuple[str, ...]]:
    foreseen = {change.address for change in plan.follow}
    for change in plan.changes:
        if change.action is Action.HOLD:
            why = words.failed(change.failure) if change.failure else change.detail
            yield "⏸️", *_who(change), " ".join(part for part in (f"held: {change.reason}", marks.code(why)) if part)
        elif change.action is Action.WAIT and not words.announced(change, foreseen):
            yield (
                "⏳",
                *_who(change),
                " ".join(part for part in (str(change.reason), marks.code(change.detail)) if part),
            )


def _who(change: Change) -> tuple[str, str]:
    return marks.code(change.address.experiment), str(change.address.role)
