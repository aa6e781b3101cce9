"""A plan as a person reads it in a terminal.

One block per experiment that is not as git says; its headline on the right, one line per resource, one line per
field that differs. Colour is the only thing that this renderer adds to `words`: taken away, nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from reconciler.core.changes import Action, Change, Plan, Reason
from reconciler.core.resources import SHORT, Address, Json, Resource, Role
from reconciler.render import words
from reconciler.render.diagnostics import diagnostics_text

NOTES = 69
"""The column of headlines and notes."""

_STYLES: Mapping[str, str] = {
    "+": "green", "+-": "yellow", "~": "yellow", "-": "red", "!": "bold red", ".": "cyan", ">": "dim",
}  # fmt: skip
_ORDER = ("removed from git", "retrain", "new", "rolled", "in place", "drifted")


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a block: a symbol and a role in front of the text, a note on the right."""

    symbol: str
    roles: str
    text: str
    note: str = ""


def plan_text(plan: Plan, *, where: str = "") -> Text:
    """The whole plan. `where` says which tree was planned, such as `main@4be21d`."""
    text = Text()
    if plan.diagnostics:
        text.append_text(diagnostics_text(plan.diagnostics)).append("\n")
    if words.quiet(plan):
        experiments = {change.address.experiment for change in plan.changes}
        counted = f"{len(experiments)} experiment{'s' * (len(experiments) != 1)}"
        return text.append("in sync", "green").append(f"   {words.clean(plan.target)}: {counted} as git says.\n")
    _row(text, f"{words.clean(plan.target)}  {words.clean(where)}".rstrip(), f"plan {plan.id}", "bold")
    for name, changes, follow in _blocks(plan):
        text.append("\n")
        headline = words.headline(changes, follow)
        _row(text, name, headline, "bold")
        for line in _lines(changes, follow):
            _row(
                text,
                f" {line.symbol:>2} {line.roles:<12} {line.text}".rstrip(),
                line.note,
                _STYLES.get(line.symbol, ""),
            )
    text.append(f"\n{words.summary(plan)}", "bold")
    if plan.now:
        text.append(f"   loraform apply --expect {plan.id}")
    return text.append("\n")


def _row(text: Text, left: str, right: str, style: str) -> None:
    text.append(left, style)
    if right:
        text.append(" " * max(NOTES - len(left), 2) + right)
    text.append("\n")


def _blocks(plan: Plan) -> list[tuple[str, list[Change], list[Change]]]:
    names = {change.address.experiment for change in (*plan.changes, *plan.follow)}
    blocks = [
        (
            name,
            [change for change in plan.changes if change.address.experiment == name],
            [change for change in plan.follow if change.address.experiment == name],
        )
        for name in names
    ]
    shown = [(_rank(now, later), name, now, later) for name, now, later in blocks if later or _moves(now)]
    return [(name, now, later) for _, name, now, later in sorted(shown, key=lambda block: block[:2])]


def _moves(changes: Iterable[Change]) -> bool:
    return any(change.action is not Action.NOOP for change in changes)


def _rank(now: Sequence[Change], later: Sequence[Change]) -> int:
    headline = words.headline(now, later)
    return _ORDER.index(headline) if headline in _ORDER else len(_ORDER)


def _lines(changes: Sequence[Change], follow: Sequence[Change]) -> Iterator[_Line]:
    roles = list(Role)
    ordered = sorted(changes, key=lambda change: (roles.index(change.address.role), change.action))
    removed = [change for change in ordered if change.action is Action.DELETE and not change.fields]
    for change in ordered:
        if change.action is not Action.NOOP and change not in removed:
            yield from _change_lines(change)
        elif change.reason is Reason.REUSED:
            yield _Line("", "training", f"{_stamp(change)} is reused, nothing is trained")
    for reason in dict.fromkeys(change.reason for change in removed):
        alike = [change for change in removed if change.reason is reason]
        named = ", ".join(dict.fromkeys(str(change.address.role) for change in reversed(alike)))
        yield _Line("-", named, _joined(words.clean(change.detail) for change in alike), str(reason))
    yield from _follow_lines(follow)
    yield from _serving_lines((*changes, *follow))


def _change_lines(change: Change) -> Iterator[_Line]:
    symbol, role = words.symbol(change), str(change.address.role)
    detail = words.clean(change.detail)
    if change.fields:
        width = max(len(item.path) for item in change.fields)
        for number, item in enumerate(change.fields):
            text = f"{words.clean(item.path):<{width}}  {words.difference(item)}"
            first = number == 0
            yield _Line(symbol if first else "", role if first else "", text, words.effect(item.effect))
        if detail:
            yield _Line("", "", detail)
    elif change.action is Action.CREATE:
        yield _Line(symbol, role, describe(change.after) if change.after else "", detail or _note(change))
    elif change.action is Action.HOLD:
        yield _Line(symbol, role, detail, str(change.reason))
    elif change.action is Action.WAIT:
        yield _Line(symbol, role, detail or _waiting(change), str(change.reason))
    else:
        yield _Line(symbol, role, detail, _note(change))


def _waiting(change: Change) -> str:
    condition = words.condition(change.waits_on, gated=False)
    return condition.replace("once", "until", 1)


def _note(change: Change) -> str:
    return "" if change.reason in (Reason.ABSENT, Reason.SETTINGS_CHANGED) else str(change.reason)


def _follow_lines(follow: Sequence[Change]) -> Iterator[_Line]:
    for change in follow:
        gated = bool(change.after and change.after.gate)
        condition = words.condition(change.waits_on, gated)
        verb = {Action.DELETE: "deleted ", Action.UPDATE: "updated ", Action.CANCEL: "cancelled "}.get(
            change.action, ""
        )
        text = _joined([f"{verb}{condition}".strip(), words.clean(change.detail)], ": ")
        yield _Line(">", str(change.address.role), text)


def _serving_lines(changes: Iterable[Change]) -> Iterator[_Line]:
    serving = {
        old.stamp
        for change in changes
        if change.address.role is Role.DEPLOYMENT and change.action is Action.CREATE
        for old in change.replaces
    }
    for stamp in sorted(serving):
        yield _Line("", "endpoint", f"keeps serving {stamp[:4]} until the new one is ready")


def describe(resource: Resource) -> str:
    """What a create makes, in a few words: `custom_job  g2-standard-12, 1 x L4, spot`."""
    machine = _machine(resource)
    return "  ".join(part for part in (resource.kind, machine) if part)


def _machine(resource: Resource) -> str:
    declared = {path: item.value for path, item in resource.fields.items()}
    found: dict[str, Json] = {}
    for path, value in declared.items():
        if isinstance(value, Mapping) and path.endswith("machine"):
            found |= dict(value)
        found[path.rsplit(".", 1)[-1]] = value
    parts = [words.value(found["machine_type"])] if found.get("machine_type") else []
    if found.get("accelerator_type"):
        card = words.value(found["accelerator_type"]).removeprefix("NVIDIA_").replace("_", " ")
        parts.append(f"{words.value(found.get('accelerator_count', 1))} x {card}")
    strategy = found.get("strategy")
    if strategy:
        steps = [strategy] if isinstance(strategy, str) else list(strategy) if isinstance(strategy, Sequence) else []
        parts.append(" then ".join(words.value(step) for step in steps))
    return ", ".join(parts)


def _stamp(change: Change) -> str:
    stamp = change.before.stamp if change.before else change.after.stamp if change.after else ""
    return f"run {stamp[:SHORT][:8]}"


def _joined(parts: Iterable[str], by: str = ", ") -> str:
    return by.join(dict.fromkeys(part for part in parts if part))


def short(address: Address) -> str:
    """An address for one line of text."""
    return words.clean(f"{address.experiment} {address.role}")
