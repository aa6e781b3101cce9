"""A plan as blocks of lines: one block per experiment that is not as git says, one line per thing or field.

Which lines there are, in which order and in which words, is decided here; where they are shown (a terminal, a comment)
decides only how they look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.changes import Action, Change, FieldChange, Plan, Reason
from reconciler.core.impact import Answers, Impact
from reconciler.core.resources import Json, Phase, Resource, Role
from reconciler.render import impact as felt
from reconciler.render import words

SHOWN = 6
"""Hex digits of an identity that are shown."""
_ORDER = ("removed from git", "retrain", "new", "evaluated again", "rolled", "adopted", "in place", "drifted")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a block: a symbol and a role in front of the text, a note on the right."""

    symbol: str
    roles: str
    text: str
    note: str = ""
    field: FieldChange | None = None
    """The field that the text is about, for whoever shows before and after in another way."""


@dataclass(frozen=True, slots=True)
class Block:
    """All that a plan says of one experiment."""

    experiment: str
    headline: str
    """What happens to it as a whole, in one or two words."""
    changes: tuple[Change, ...]
    follow: tuple[Change, ...]
    impact: Impact | None


def blocks(plan: Plan) -> list[Block]:
    """The experiments that are not as git says, those first of which most people want to know."""
    found: dict[str, tuple[list[Change], list[Change]]] = {}
    for at, changes in enumerate((plan.changes, plan.follow)):
        for change in changes:
            found.setdefault(change.address.experiment, ([], []))[at].append(change)
    felt_by = {impact.experiment: impact for impact in plan.impacts}
    shown = [
        Block(name, words.headline(now, later), tuple(now), tuple(later), felt_by.get(name))
        for name, (now, later) in found.items()
        if later or _moves(now)
    ]
    return sorted(shown, key=lambda block: (_rank(block.headline), block.experiment))


def _moves(changes: Iterable[Change]) -> bool:
    return any(change.action is not Action.NOOP for change in changes)


def _rank(headline: str) -> int:
    return _ORDER.index(headline) if headline in _ORDER else len(_ORDER)


def lines(block: Block) -> Iterator[Line]:
    """What happens, role by role, and what people will feel of it."""
    yield from _role_lines(block.changes, block.follow)
    yield from _felt_lines(block.impact, (*block.changes, *block.follow))


def _role_lines(changes: Sequence[Change], follow: Sequence[Change]) -> Iterator[Line]:
    foreseen = {change.address for change in follow}
    shown = [change for change in changes if not words.announced(change, foreseen)]
    making = any(change.action is Action.CREATE for change in (*changes, *follow))
    others = max((_others(change) for change in changes), default=0)
    yield from _delete_lines([change for change in shown if change.action is Action.DELETE])
    for role in Role:
        mine = [change for change in shown if change.address.role is role]
        later = [change for change in follow if change.address.role is role]
        for change in mine:
            if change.action is Action.DELETE:
                continue
            if change.action is not Action.NOOP:
                yield from _change_lines(change)
            elif change.detail:
                yield Line("", str(role), words.clean(change.detail))
            elif change.reason is Reason.REUSED and making and role is Role.TRAINING:
                yield Line("", str(role), f"run {_short(change)} is reused: nothing is trained")
        yield from _follow_lines(role, later, others)


def _change_lines(change: Change) -> Iterator[Line]:
    symbol, role = words.symbol(change), str(change.address.role)
    detail = words.clean(change.detail)
    if change.fields:
        width = max(len(item.path) for item in change.fields)
        for number, item in enumerate(change.fields):
            text = f"{words.clean(item.path):<{width}}  {words.difference(item)}"
            first = number == 0
            yield Line(symbol if first else "", role if first else "", text, words.effect(item.effect), item)
        if detail:
            yield Line("", "", detail)
        if change.reason is Reason.DRIFTED:
            yield Line("", "", "changed outside git; git's value comes back")
    elif change.failure and change.action in (Action.HOLD, Action.WAIT):
        yield Line(symbol, role, words.failed(change.failure), str(change.reason))
        # A hold says which line of the log tells most; a wait says when it is over.
        yield Line("", "", words.told(change.failure) if change.action is Action.HOLD else detail[: words.TOLD])
        if change.action is Action.HOLD:
            yield Line("", "", words.way_out(change))
    elif change.action is Action.CREATE:
        yield Line(symbol, role, describe(change.after) if change.after else "", detail or _note(change))
    elif change.action is Action.WAIT:
        condition = words.condition(change.waits_on, gated=False).replace("once", "until", 1)
        yield Line(symbol, role, detail or condition, str(change.reason))
    elif change.action is Action.CANCEL:
        yield Line(symbol, role, f"run {_short(change)} is cancelled", str(change.reason))
    else:
        yield Line(symbol, role, detail, str(change.reason))
    yield from (Line("", "", text) for text in words.said(change))


def _note(change: Change) -> str:
    return "" if change.reason in (Reason.ABSENT, Reason.IDENTITY_CHANGED) else str(change.reason)


def _others(change: Change) -> int:
    """The percentage of the traffic that models made by others have, and keep, on the endpoint of a change."""
    if change.before is None:
        return 0
    foreign, split = change.before.outputs.get("foreign"), change.before.outputs.get("split")
    if isinstance(foreign, int):
        return foreign
    if change.address.role is not Role.ENDPOINT or not change.before.adopted_from or not isinstance(split, Mapping):
        return 0
    return sum(share for share in split.values() if isinstance(share, int))


def _follow_lines(role: Role, follow: Sequence[Change], others: int) -> Iterator[Line]:
    """What follows for one role: a deployment is made, then given its traffic, then its predecessor goes.

    Shares are of what `others` leave, a percentage.
    """
    made = next((change for change in follow if change.action is Action.CREATE), None)
    updated = [change for change in follow if change.action is Action.UPDATE]
    deleted = [change for change in follow if change.action is Action.DELETE]
    steps = [item.after for change in updated for item in change.fields if item.path == "traffic"]
    shares = " -> ".join(["0 %", "probe", *(f"{words.value(step)} %" for step in steps)]) if steps else ""
    if shares and others:
        shares += f" of the {max(100 - others, 0)} % that others leave"
    if made is not None:
        unsaid = made.verdict is None or made.verdict.imagined
        gated = bool(made.after and made.after.gate and unsaid)
        yield Line(">", str(role), _joined([words.condition(made.waits_on, gated), shares], ": "))
    elif updated:
        paths = ", ".join(words.clean(item.path) for change in updated for item in change.fields)
        judged = all(change.reason is Reason.JUDGED for change in updated)
        later = "once it is evaluated: its gate judges it" if judged else f"once it is ready: {shares or paths}"
        yield Line(">", str(role), later)
    for change in deleted:
        gone = f"{_short(change)} is deleted once the new one has the traffic"
        yield Line(">", str(role), gone if change.reason is Reason.SUPERSEDED else _deleted(change))


def _deleted(change: Change) -> str:
    return f"deleted {words.condition(change.waits_on, gated=False)}".strip()


def _delete_lines(deleted: Sequence[Change]) -> Iterator[Line]:
    for reason in dict.fromkeys(change.reason for change in deleted):
        alike = [change for change in deleted if change.reason is reason]
        roles = ", ".join(dict.fromkeys(str(change.address.role) for change in reversed(alike)))
        named = ", ".join(dict.fromkeys(_short(change) for change in alike if change.address.role is Role.DEPLOYMENT))
        yield Line("-", roles, _joined([named, *(words.clean(change.detail) for change in alike)]), str(reason))


def _felt_lines(impact: Impact | None, changes: Iterable[Change]) -> Iterator[Line]:
    """What it costs, and what those who send requests will notice."""
    if impact is None:
        return
    if cost := felt.cost(impact):
        yield Line("", "cost", cost)
    serving = {
        old.stamp[:SHOWN]
        for change in changes
        if change.address.role is Role.DEPLOYMENT and change.action is Action.CREATE
        for old in change.replaces
        if old.phase is Phase.READY
    }
    if serving and impact.answers is not Answers.GAP:
        yield Line("", "endpoint", f"keeps serving {', '.join(sorted(serving))} until the new one is ready")
    noticed = _joined([felt.answers(impact), felt.home(impact)])
    if impact.answers in (Answers.GAP, Answers.END) or serving:
        yield Line("", "requests", noticed)


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
    if resource.runs > 1:
        parts.insert(0, f"{resource.runs} trials")
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
