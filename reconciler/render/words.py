"""How a value of the plan reads in plain words, safe to print anywhere.

Every renderer says the same thing the same way by asking here. Nothing in this module knows colours, markup or
widths; it decides only words, and that no text of a manifest can leave its place on the screen.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence

from reconciler.core.changes import Action, Change, FieldChange, Plan, Reason
from reconciler.core.resources import Address, Failure, Json, Role

LONGEST = 60
"""Characters of one field value that are shown."""
TOLD = 160
"""Characters of a line of a log that are shown."""

EFFECTS: Mapping[str, str] = {
    "retrain": "new run",
    "evaluate": "judged again",
    "version": "new version, rolled",
    "roll": "rolled",
    "in place": "no interruption",
    "in_place": "no interruption",
    "route": "no interruption",
    "run": "another try",
    "label": "a label",
    "nothing": "",
}
"""What the declared effect of a field brings about. An effect without an entry is printed as it is."""


def clean(text: str, longest: int | None = None) -> str:
    """The text on one line, with control, format (bidi, zero width) and surrogate characters made visible."""
    shown = "".join(_visible(character) for character in text)
    if longest is not None and len(shown) > longest:
        return shown[: longest - 1] + "…"
    return shown


def value(item: Json) -> str:
    """One JSON value the way a manifest writes it, cut at `LONGEST` characters."""
    return clean(_scalar_or_flow(item), LONGEST)


def difference(change: FieldChange) -> str:
    """`16 -> 32`."""
    return f"{value(change.before)} -> {value(change.after)}"


def effect(word: str) -> str:
    """What a field's difference brings about, for people."""
    return EFFECTS.get(word, word)


def symbol(change: Change) -> str:
    """One or two characters in front of a change that is made in this pass."""
    match change.action:
        case Action.CREATE:
            return "+-" if change.replaces or change.reason is Reason.IDENTITY_CHANGED else "+"
        case Action.UPDATE:
            return "~"
        case Action.DELETE | Action.CANCEL:
            return "-"
        case Action.HOLD:
            return "!"
        case Action.WAIT:
            return "."
        case Action.NOOP:
            return ""


def headline(changes: Iterable[Change], follow: Iterable[Change]) -> str:
    """What happens to one experiment as a whole, in one or two words."""
    now, later = list(changes), list(follow)
    making = [change for change in now if change.action is Action.CREATE]
    if any(change.reason is Reason.REMOVED and change.action.mutates for change in now):
        return "removed from git"
    for change in (*making, *(item for item in later if item.action is Action.CREATE)):
        if change.address.role is Role.TRAINING:
            return _training_headline(change, now, later)
    if any(change.action is Action.HOLD for change in now):
        return "held"
    if all(change.address.role is Role.EVALUATION for change in making) and making:
        return "evaluated again"
    if making or any(change.action is Action.CREATE for change in later):
        return "rolled" if _replaced(now, later) else "new"
    updates = [change for change in now if change.action is Action.UPDATE]
    if updates and all(change.reason is Reason.ADOPTED for change in updates):
        return "adopted"
    if updates:
        return "drifted" if any(change.reason is Reason.DRIFTED for change in now) else "in place"
    if any(change.action is Action.CANCEL for change in now):
        return "cancelled"
    if any(change.action is Action.DELETE for change in (*now, *later)):
        return "cleaned up"
    if any(change.action is Action.WAIT for change in now):
        return "in progress"
    return "in sync"


def condition(waits_on: Iterable[Address], gated: bool) -> str:
    """When a change that follows will be made: `once training has succeeded`."""
    if gated:
        return "once the gate is passed"
    phrases = {
        Role.TRAINING: "training has succeeded",
        Role.EVALUATION: "it is evaluated",
        Role.MERGE: "the adapter is merged into its base",
        Role.MODEL: "the model is registered",
        Role.ENDPOINT: "the endpoint is there",
        Role.DEPLOYMENT: "its deployment is done",
    }
    roles = {address.role for address in waits_on}
    found = [phrases.get(role, str(role)) for role in Role if role in roles]
    # What is needed last is all that a person has to wait for: a model needs its training anyway.
    return f"once {found[-1] if Role.ENDPOINT not in roles else found[0]}" if found else ""


def failed(failure: Failure) -> str:
    """The name of a failure and what it means: `stock-out: the region has no free machine of this kind`."""
    return f"{failure.cause}: {failure.cause.meaning.sentence}"


def told(failure: Failure, detail: str = "") -> str:
    """What the world itself said: the line of the log that tells most, else the API's words (`detail`)."""
    return clean(failure.evidence or detail or failure.message.split("\n", 1)[0], TOLD)


def told_first(message: str) -> str:
    """The first line of a message, on one line; "" for none."""
    return clean(message.splitlines()[0]) if message.strip() else ""


def way_out(change: Change) -> str:
    """What helps a change that failed, with the command that shows more; "" for any other change."""
    if change.failure is None or change.action is not Action.HOLD:
        return ""
    return f"{change.failure.cause.meaning.remedy} See `loraform explain {clean(change.address.experiment)}`."


def said(change: Change) -> tuple[str, ...]:
    """What the gate of a model says by this change, bound by bound. Why it is not passed is said by what is held."""
    verdict = change.verdict
    if verdict is None or verdict.imagined or change.address.role is not Role.MODEL or not change.action.mutates:
        return ()
    if not verdict.passed:
        return ("gate not passed",) if change.action is Action.CREATE else (f"gate not passed: {clean(verdict.words)}",)
    return tuple(f"gate passed: {clean(text)}" for text in ([item.words for item in verdict.judged] or [verdict.words]))


def summary(plan: Plan) -> str:
    """`2 to create, 1 to update, 4 to follow.`"""
    counts = {action: sum(change.action is action for change in plan.changes) for action in Action}
    foreseen = {change.address for change in plan.follow}
    waiting = [change for change in plan.changes if change.action is Action.WAIT and not announced(change, foreseen)]
    parts = [
        (counts[Action.CREATE], "to create"),
        (counts[Action.UPDATE], "to update"),
        (counts[Action.DELETE], "to delete"),
        (counts[Action.CANCEL], "to cancel"),
        (sum(change.action.mutates for change in plan.follow), "to follow"),
        (len(waiting), "waiting"),
        (counts[Action.HOLD], "held"),
    ]
    return ", ".join(f"{count} {words}" for count, words in parts if count) + "."


def announced(change: Change, foreseen: Collection[Address]) -> bool:
    """True for a wait for a prerequisite that the forecast shows anyway, as what follows.

    So is an evaluation that waits for its training: what does not follow by itself is a part of that job.
    """
    waits = change.reason is Reason.PREREQUISITE and change.action is Action.WAIT
    return waits and (change.address in foreseen or change.address.role is Role.EVALUATION)


def quiet(plan: Plan) -> bool:
    """True when every experiment is as git says: nothing to do now, later, or by a person."""
    return not plan.follow and all(change.action is Action.NOOP for change in plan.changes)


def _training_headline(change: Change, now: Sequence[Change], later: Sequence[Change]) -> str:
    if change.reason in (Reason.RETRY, Reason.ATTEMPT_CHANGED):
        return "run again"
    if change.reason is Reason.PRUNED:
        return "retrain, the artifact was pruned"
    if change.reason is Reason.IDENTITY_CHANGED or change.replaces or _replaced(now, later):
        return "retrain"
    return "new"


def _replaced(now: Sequence[Change], later: Sequence[Change]) -> bool:
    return any(change.replaces or change.reason is Reason.SUPERSEDED for change in (*now, *later))


def _visible(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character


def _scalar_or_flow(item: Json) -> str:
    match item:
        case None:
            return "(not set)"
        case bool():
            return "true" if item else "false"
        case float():
            return _number(item)
        case int() | str():
            return str(item)
        case Mapping():
            return "{" + ", ".join(f"{key}: {_scalar_or_flow(item[key])}" for key in sorted(item)) + "}"
        case _:
            return "[" + ", ".join(_scalar_or_flow(part) for part in item) + "]"


def _number(number: float) -> str:
    if number and abs(number) < 1e-3:
        mantissa, exponent = f"{number:e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{number:.10g}"
