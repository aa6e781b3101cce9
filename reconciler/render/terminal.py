"""A plan as a person reads it in a terminal.

One block per experiment that is not as git says; its headline on the right, one line per resource, one line per
field that differs. Colour is the only thing that this renderer adds to `words`: taken away, nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from reconciler.core.changes import Action, Change, Plan, Reason
from reconciler.core.impact import Answers, Impact
from reconciler.core.resources import Json, Phase, Resource, Role
from reconciler.render import impact as felt
from reconciler.render import words
from reconciler.render.diagnostics import diagnostics_text

NOTES = 69
"""The column of headlines and notes."""

SHOWN = 6
"""Hex digits of an identity that are shown."""

_STYLES: Mapping[str, str] = {
    "+": "green", "+-": "yellow", "~": "yellow", "-": "red", "!": "bold red", ".": "cyan", ">": "dim",
}  # fmt: skip
_ORDER = ("removed from git", "retrain", "new", "evaluated again", "rolled", "adopted", "in place", "drifted")


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a block: a symbol and a role in front of the text, a note on the right."""

    symbol: str
    roles: str
    text: str
    note: str = ""


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
    felt_by = {impact.experiment: impact for impact in plan.impacts}
    for name, changes, follow in _blocks(plan):
        text.append("\n")
        headline = words.headline(changes, follow)
        _row(text, name, headline, "bold")
        for line in (*_lines(changes, follow), *_felt_lines(felt_by.get(name), (*changes, *follow))):
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


def _blocks(plan: Plan) -> list[tuple[str, list[Change], list[Change]]]:
    blocks: dict[str, tuple[list[Change], list[Change]]] = {}
    for at, changes in enumerate((plan.changes, plan.follow)):
        for change in changes:
            blocks.setdefault(change.address.experiment, ([], []))[at].append(change)
    shown = [(_rank(now, later), name, now, later) for name, (now, later) in blocks.items() if later or _moves(now)]
    return [(name, now, later) for _, name, now, later in sorted(shown, key=lambda block: block[:2])]


def _moves(changes: Iterable[Change]) -> bool:
    return any(change.action is not Action.NOOP for change in changes)


def _rank(now: Sequence[Change], later: Sequence[Change]) -> int:
    headline = words.headline(now, later)
    return _ORDER.index(headline) if headline in _ORDER else len(_ORDER)


def _lines(changes: Sequence[Change], follow: Sequence[Change]) -> Iterator[_Line]:
    foreseen = {change.address for change in follow}
    shown = [change for change in changes if not words.announced(change, foreseen)]
    making = any(change.action is Action.CREATE for change in (*changes, *follow))
    yield from _delete_lines([change for change in shown if change.action is Action.DELETE])
    for role in Role:
        mine = [change for change in shown if change.address.role is role]
        later = [change for change in follow if change.address.role is role]
        for change in mine:
            if change.action is Action.DELETE:
                continue
            if change.action is not Action.NOOP:
                yield from _change_lines(change)
            elif change.reason is Reason.REUSED and making and role is Role.TRAINING:
                yield _Line("", str(role), f"run {_short(change)} is reused: nothing is trained")
        yield from _follow_lines(role, later)


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
        if change.reason is Reason.DRIFTED:
            yield _Line("", "", "changed outside git; git's value comes back")
    elif change.failure and change.action in (Action.HOLD, Action.WAIT):
        yield _Line(symbol, role, words.failed(change.failure), str(change.reason))
        # A hold says which line of the log tells most; a wait says when it is over.
        yield _Line("", "", words.told(change.failure) if change.action is Action.HOLD else detail[: words.TOLD])
        if change.action is Action.HOLD:
            yield _Line("", "", words.way_out(change))
    elif change.action is Action.CREATE:
        yield _Line(symbol, role, describe(change.after) if change.after else "", detail or _note(change))
    elif change.action is Action.WAIT:
        condition = words.condition(change.waits_on, gated=False).replace("once", "until", 1)
        yield _Line(symbol, role, detail or condition, str(change.reason))
    elif change.action is Action.CANCEL:
        yield _Line(symbol, role, f"run {_short(change)} is cancelled", str(change.reason))
    else:
        yield _Line(symbol, role, detail, str(change.reason))
    yield from (_Line("", "", text) for text in words.said(change))


def _note(change: Change) -> str:
    return "" if change.reason in (Reason.ABSENT, Reason.IDENTITY_CHANGED) else str(change.reason)


def _follow_lines(role: Role, follow: Sequence[Change]) -> Iterator[_Line]:
    """What follows for one role: a deployment is made, then given its traffic, then its predecessor goes."""
    made = next((change for change in follow if change.action is Action.CREATE), None)
    updated = [change for change in follow if change.action is Action.UPDATE]
    deleted = [change for change in follow if change.action is Action.DELETE]
    steps = [item.after for change in updated for item in change.fields if item.path == "traffic"]
    shares = " -> ".join(["0 %", "probe", *(f"{words.value(step)} %" for step in steps)]) if steps else ""
    if made is not None:
        unsaid = made.verdict is None or made.verdict.imagined
        gated = bool(made.after and made.after.gate and unsaid)
        yield _Line(">", str(role), _joined([words.condition(made.waits_on, gated), shares], ": "))
    elif updated:
        paths = ", ".join(words.clean(item.path) for change in updated for item in change.fields)
        yield _Line(">", str(role), f"once it is ready: {shares or paths}")
    for change in deleted:
        gone = f"{_short(change)} is deleted once the new one has the traffic"
        yield _Line(">", str(role), gone if change.reason is Reason.SUPERSEDED else _deleted(change))


def _deleted(change: Change) -> str:
    return f"deleted {words.condition(change.waits_on, gated=False)}".strip()


def _delete_lines(deleted: Sequence[Change]) -> Iterator[_Line]:
    for reason in dict.fromkeys(change.reason for change in deleted):
        alike = [change for change in deleted if change.reason is reason]
        roles = ", ".join(dict.fromkeys(str(change.address.role) for change in reversed(alike)))
        named = ", ".join(dict.fromkeys(_short(change) for change in alike if change.address.role is Role.DEPLOYMENT))
        yield _Line("-", roles, _joined([named, *(words.clean(change.detail) for change in alike)]), str(reason))


def _felt_lines(impact: Impact | None, changes: Iterable[Change]) -> Iterator[_Line]:
    """What it costs, and what those who send requests will notice."""
    if impact is None:
        return
    if cost := felt.cost(impact):
        yield _Line("", "cost", cost)
    serving = {
        old.stamp[:SHOWN]
        for change in changes
        if change.address.role is Role.DEPLOYMENT and change.action is Action.CREATE
        for old in change.replaces
        if old.phase is Phase.READY
    }
    if serving and impact.answers is not Answers.GAP:
        yield _Line("", "endpoint", f"keeps serving {', '.join(sorted(serving))} until the new one is ready")
    noticed = _joined([felt.answers(impact), felt.home(impact)])
    if impact.answers in (Answers.GAP, Answers.END) or serving:
        yield _Line("", "requests", noticed)


def describe(resource: Resource) -> str:
    """What a create makes, in a few words: `custom_job  g2-standard-12, 1 x L4, spot`."""
    machine = _machine(resource)
    kind = "" if resource.kind == str(resource.address.role) else resource.kind
    return "  ".join(part for part in (kind, machine) if part)


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
    regions = found.get("regions")
    if isinstance(regions, Sequence) and regions and not isinstance(regions, str):
        parts.append("in " + " then ".join(words.value(region) for region in regions))
    return ", ".join(parts)


def _short(change: Change) -> str:
    stamp = change.before.stamp if change.before else change.after.stamp if change.after else ""
    return stamp[:SHOWN]


def _joined(parts: Iterable[str], by: str = ", ") -> str:
    return by.join(dict.fromkeys(part for part in parts if part))
