"""The status table: what is live for each experiment, and why something stands still."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from reconciler.core.changes import Action, Change, Plan, Reason
from reconciler.core.resources import LiveResource, Phase, Role, Snapshot
from reconciler.render import words

HEADINGS = ("experiment", "training", "model", "deployment", "traffic", "endpoint", "")

_STYLES: Mapping[str, str] = {
    "trained": "green", "ready": "green", "running": "cyan", "pending": "cyan", "held": "red", "failed": "red",
    "suspended": "yellow",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One experiment in words; several deployments are several lines of their cells."""

    experiment: str
    training: str
    model: str
    deployment: tuple[str, ...]
    traffic: tuple[str, ...]
    endpoint: str
    note: str


def rows_of(plan: Plan, snapshot: Snapshot) -> tuple[Row, ...]:
    """One row for each experiment that git names or that has something live, sorted by name."""
    names = {change.address.experiment for change in plan.changes} | {
        item.address.experiment for item in snapshot.live if not item.history
    }
    return tuple(_row(name, plan, snapshot) for name in sorted(names))


def status_text(rows: Iterable[Row]) -> Text:
    """The rows as a table, without lines, as wide as they need."""
    lines: list[tuple[str, ...]] = [HEADINGS]
    for row in rows:
        first = (row.experiment, row.training, row.model)
        cells = list(zip(row.deployment, row.traffic, strict=True)) or [("-", "-")]
        lines.append((*first, *cells[0], row.endpoint, row.note))
        lines += [("", "", "", *cell, "", "") for cell in cells[1:]]
    if len(lines) == 1:
        return Text("No experiment, and nothing live.\n")
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS) - 1)]
    text = Text()
    for number, line in enumerate(lines):
        for column, cell in enumerate(line):
            width = widths[column] + 2 if column < len(widths) else 0
            style = "dim" if number == 0 else _STYLES.get(cell.split(" ", 1)[0], "")
            text.append(f"{cell:<{width}}" if any(line[column + 1 :]) else cell, style)
        text.append("\n")
    return text


def _row(name: str, plan: Plan, snapshot: Snapshot) -> Row:
    changes = [change for change in plan.changes if change.address.experiment == name]
    wanted = {change.address.role: change for change in changes if change.after is not None}
    live = [item for item in snapshot.live if item.address.experiment == name]
    deployments = sorted(
        (item for item in live if item.address.role is Role.DEPLOYMENT and not item.history),
        key=lambda item: (item.created, item.name),
    )
    return Row(
        experiment=words.clean(name),
        training=_training(wanted.get(Role.TRAINING), live),
        model=_model(wanted.get(Role.MODEL), live),
        deployment=tuple(f"{item.phase} {item.stamp[:6]}" for item in deployments),
        traffic=tuple(_traffic(item) for item in deployments),
        endpoint=_endpoint(live),
        note=_note(changes, bool(wanted)),
    )


def _training(change: Change | None, live: Sequence[LiveResource]) -> str:
    if change is None:
        running = [item for item in live if item.address.role is Role.TRAINING and not item.history]
        return str(running[0].phase) if running else "-"
    match change.action, change.reason:
        case Action.NOOP, _:
            return "trained"
        case Action.HOLD, _:
            return "held"
        case Action.WAIT, Reason.IN_PROGRESS:
            return str(change.before.phase) if change.before else "in progress"
        case Action.WAIT, _:
            return str(change.reason)
        case _:
            return "not yet"


def _model(change: Change | None, live: Sequence[LiveResource]) -> str:
    versions = sorted(
        (item for item in live if item.address.role is Role.MODEL), key=lambda item: (item.created, item.name)
    )
    if not versions:
        return "-"
    current = change.after.stamp if change and change.after else ""
    found = next((item for item in versions if item.stamp == current), None)
    shown = found or versions[-1]
    return f"version {words.clean(str(shown.outputs.get('version_id', '?')))}" + ("" if found else " (older)")


def _traffic(item: LiveResource) -> str:
    # Beside models of others the share of ours is not what it gets of all requests.
    share = item.outputs.get("share") if item.outputs.get("foreign") else item.spec.get("traffic")
    return f"{words.value(share)} %" if share is not None and item.phase is Phase.READY else "-"


def _endpoint(live: Sequence[LiveResource]) -> str:
    found = next((item for item in live if item.address.role is Role.ENDPOINT), None)
    if found is None:
        return "-"
    name = words.clean(found.name.rsplit("/", 1)[-1])
    return f"suspended {name}" if found.suspended else name


def _note(changes: Sequence[Change], wanted: bool) -> str:
    if not wanted:
        return "not in git"
    for action in (Action.HOLD, Action.WAIT):
        for change in changes:
            if change.action is action and change.reason is not Reason.PREREQUISITE:
                if change.failure:
                    more = f"; loraform explain {words.clean(change.address.experiment)}"
                    return words.failed(change.failure) + more * (change.action is Action.HOLD)
                detail = words.clean(change.detail)
                return f"{change.reason}: {detail}" if detail else str(change.reason)
    moving = [change for change in changes if change.action.mutates]
    doubts = next((words.clean(change.detail) for change in changes if not change.action.mutates and change.detail), "")
    return f"{len(moving)} change{'s' * (len(moving) != 1)} to apply" if moving else doubts or "in sync"
