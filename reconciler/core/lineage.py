"""How an experiment became what it is: its commits, what each brought about, and what is left of each.

Which commits there are is git's knowledge, what is left of them the cloud's; both come in as values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from reconciler.core.changes import FieldChange
from reconciler.core.diff import declared_changes
from reconciler.core.identity import canonical
from reconciler.core.resources import EMPTY, Json, Resource, Role


class Kind(StrEnum):
    """What a commit means for the experiment: the costliest thing that it brings about."""

    NEW = "new"
    RUN = "new run"
    VERSION = "new version"
    ROLL = "roll"
    EVALUATION = "evaluated again"
    TRY = "another try"
    IN_PLACE = "in place"
    RENAMED = "renamed"
    NOTHING = "nothing"
    REMOVED = "removed"
    UNREADABLE = "cannot be read"


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit on the way that the branch took."""

    id: str
    at: str
    """When it came to the branch, RFC 3339."""
    author: str
    subject: str


@dataclass(frozen=True, slots=True)
class Point:
    """The experiment as one commit declares it. Without resources it is not declared there, or cannot be read."""

    commit: Commit
    experiment: str
    path: str
    resources: tuple[Resource, ...] = ()
    problem: str = ""
    """Why it cannot be read."""


@dataclass(frozen=True, slots=True)
class Step:
    """One commit, and what it means beside the one before it."""

    point: Point
    kind: Kind
    fields: tuple[FieldChange, ...] = ()
    moved: frozenset[Role] = frozenset()
    """The roles whose identity is another one than before."""
    again: bool = False
    """Its training is one that an earlier commit had: a revert, so nothing is trained."""

    def stamp(self, role: Role) -> str:
        """The identity, as labels carry it, that the commit wants for a role; empty where it wants none."""
        return next((item.stamp for item in self.point.resources if item.address.role is role), "")


@dataclass(frozen=True, slots=True)
class Run:
    """What is left of a training."""

    job: str = ""
    phase: str = ""
    """`trained` once there is a run record; else the phase of its newest job."""
    seconds: float = 0.0
    finished: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    place: str = ""
    """On which kind of capacity and where, of those that the manifest names: `spot in europe-west4`."""
    tries: tuple[str, ...] = ()
    """The causes of the tries that came to nothing, oldest first."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a deployment was given of the traffic, from a time on (seconds since the epoch)."""

    at: float
    percent: int


@dataclass(frozen=True, slots=True)
class Traces:
    """What is left of an experiment in the cloud, by identity as labels carry it."""

    runs: Mapping[str, Run] = field(default_factory=dict)
    """By the training's."""
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """The metrics of every evaluation, by the evaluation's."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Version of the model, by the model's."""
    commits: Mapping[str, str] = field(default_factory=dict)
    """The commit that the label of a model version names, by the model's."""
    traffic: Mapping[str, int] = field(default_factory=dict)
    """Percent, by the deployment's."""
    served: Mapping[str, tuple[Share, ...]] = field(default_factory=dict)
    """What it was given in its time, oldest first, by the deployment's."""


@dataclass(frozen=True, slots=True)
class Row:
    """A step with what is left of it. `traffic` and `served` stand with the newest commit that wants the deployment."""

    step: Step
    run: Run | None = None
    version: str = ""
    traffic: int | None = None
    served: tuple[Share, ...] = ()
    labelled: str = ""
    """The commit in the label of its model version, as a cross-check."""


def lineage(points: Iterable[Point]) -> tuple[Step, ...]:
    """What each commit means, newest first; `points` come oldest first. None is compared with an unreadable one."""
    steps: list[Step] = []
    before: Point | None = None
    trained: set[str] = set()
    for point in points:
        if point.problem:
            steps.append(Step(point, Kind.UNREADABLE))
            continue
        step = _step(before, point, trained)
        steps.append(step)
        trained.add(step.stamp(Role.TRAINING))
        before = point
    return tuple(reversed(steps))


def joined(steps: Iterable[Step], traces: Traces) -> tuple[Row, ...]:
    """The steps, newest first as they come, with what is left of each."""
    rows: list[Row] = []
    answered: set[str] = set()
    for step in steps:
        model, deployment = step.stamp(Role.MODEL), step.stamp(Role.DEPLOYMENT)
        rows.append(
            Row(
                step,
                run=_run(step, traces),
                version=traces.versions.get(model, ""),
                traffic=None if deployment in answered else traces.traffic.get(deployment),
                served=() if deployment in answered else traces.served.get(deployment, ()),
                labelled=traces.commits.get(model, ""),
            )
        )
        answered.add(deployment)
    return tuple(rows)


def unexplained(rows: Iterable[Row], traces: Traces) -> tuple[tuple[str, int], ...]:
    """Deployments (identity, percent) with traffic that no commit in `rows` wants, the largest share first."""
    known = {row.step.stamp(Role.DEPLOYMENT) for row in rows}
    strange = [(stamp, share) for stamp, share in traces.traffic.items() if share and stamp not in known]
    return tuple(sorted(strange, key=lambda item: (-item[1], item[0])))


def _step(before: Point | None, point: Point, trained: set[str]) -> Step:
    old = {item.address.role: item for item in before.resources} if before else {}
    new = {item.address.role: item for item in point.resources}
    fields = _fields(old, new)
    moved = frozenset(role for role in Role if _stamp(old, role) != _stamp(new, role))
    again = Role.TRAINING in moved and _stamp(new, Role.TRAINING) in trained
    kind = _kind(old, new, moved)
    if kind is Kind.NOTHING and before and before.experiment != point.experiment:
        kind = Kind.RENAMED
    return Step(point, kind, fields if old else (), moved, again)


def _run(step: Step, traces: Traces) -> Run | None:
    """The run with the metrics of the evaluation that the commit wants, where that was made."""
    run = traces.runs.get(step.stamp(Role.TRAINING))
    metrics = traces.measured.get(step.stamp(Role.EVALUATION))
    return run if run is None or metrics is None else replace(run, metrics=metrics)


def _kind(old: Mapping[Role, Resource], new: Mapping[Role, Resource], moved: frozenset[Role]) -> Kind:
    if not new:
        return Kind.REMOVED if old else Kind.NOTHING
    if not old:
        return Kind.NEW
    for role, kind in ((Role.TRAINING, Kind.RUN), (Role.MODEL, Kind.VERSION)):
        if role in moved:
            return kind
    if moved:
        return Kind.EVALUATION if moved == {Role.EVALUATION} else Kind.ROLL
    if new[Role.TRAINING].attempt_key != old[Role.TRAINING].attempt_key:
        return Kind.TRY
    if any(canonical(new[role].spec) != canonical(old[role].spec) for role in new):
        return Kind.IN_PLACE
    return Kind.NOTHING


def _fields(old: Mapping[Role, Resource], new: Mapping[Role, Resource]) -> tuple[FieldChange, ...]:
    """The fields that differ, each once, though several resources may depend on it; by path."""
    found: dict[str, FieldChange] = {}
    for role in Role:
        if role in new:
            declared: Mapping[str, Json] = (
                {path: item.value for path, item in old[role].fields.items()} if role in old else EMPTY
            )
            for change in declared_changes(new[role], declared):
                found.setdefault(change.path, change)
    return tuple(found[path] for path in sorted(found))


def _stamp(resources: Mapping[Role, Resource], role: Role) -> str:
    return resources[role].stamp if role in resources else ""
