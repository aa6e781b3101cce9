"""Why something failed, for a person: the cause, what the world said, every try, the log, the way out and its patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from reconciler.core.changes import Action, Change
from reconciler.core.decide import moment
from reconciler.core.resources import LiveResource
from reconciler.render import words

SHOWN = 25
"""Lines of the log that are shown."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One failure with all that is known about it."""

    change: Change
    tries: Sequence[LiveResource] = ()
    """What was tried under this identity and ended badly, oldest first."""
    log: Sequence[str] = ()
    unread: str = ""
    """Why the log could not be read."""
    why: str = ""
    """What the patch brings about."""
    afterwards: bool = False
    """The patch helps only once the way out was gone."""
    diff: str = ""


def explained_text(it: Explained) -> Text:
    """One block per failure; the diff last, as `--patch` prints it."""
    change, failure = it.change, it.change.failure
    text = Text()
    if failure is None:
        return text
    text.append(f"{words.clean(str(change.address))}   ", "bold")
    text.append(f"{failure.cause}", "bold red").append(f"   {change.reason}\n")
    _lines(text, f"{failure.cause.meaning.sentence}.")
    if failure.evidence:
        _lines(text, f"log:      {words.clean(failure.evidence)}")
    _lines(text, f"message:  {words.clean(failure.message.split(chr(10), 1)[0])}")
    if change.action is not Action.HOLD:
        _lines(text, f"now:      {change.reason}: {words.clean(change.detail)}")
    _lines(text, f"way out:  {failure.cause.meaning.remedy}")
    for number, item in enumerate(it.tries, 1):
        _lines(text, f"{'tries:' if number == 1 else '':<9} {_try(item)}")
    if it.unread:
        text.append(f"\n  the log cannot be read: {words.clean(it.unread)}\n")
    elif it.log:
        text.append(f"\n  the last {len(it.log[-SHOWN:])} lines of its log\n", "dim")
        for line in it.log[-SHOWN:]:
            text.append(f"  | {words.clean(line)}\n")
    if it.diff:
        first = "once that is done, " if it.afterwards else ""
        text.append(
            f"\n  {first}loraform explain {words.clean(change.address.experiment)} --patch | git apply\n", "bold"
        )
        _lines(text, f"{it.why}.")
        text.append("\n" + it.diff)
    return text


def tries_text(name: str, tries: Sequence[LiveResource]) -> Text:
    """For an experiment of which nothing stands still because it failed: what was tried before."""
    text = Text(f"Nothing of {words.clean(name)} waits because of a failure: `loraform status` shows how it stands.\n")
    for number, item in enumerate(tries):
        _lines(text, f"{'before:' * (number == 0):<9} {_try(item)}")
    return text


def _try(item: LiveResource) -> str:
    cause = str(item.failure.cause) if item.failure else str(item.phase)
    where = " ".join(str(item.outputs[key]) for key in ("strategy", "region") if item.outputs.get(key))
    return f"{moment(item.since)}  {cause}  {where}  {words.clean(item.name.rsplit('/', 1)[-1])}".replace("    ", "  ")


def _lines(text: Text, line: str) -> None:
    text.append(f"  {line}\n")
