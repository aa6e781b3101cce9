"""What a person will feel of a plan: machine time, whether requests go on being answered, what becomes of the address.

It reads the changes of now and of the forecast and decides nothing. How long a run will take is never computed from
the manifest: it is what the last run of the experiment took, and at most what the timeout allows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from reconciler.core.changes import Action, Change, FieldChange, Reason
from reconciler.core.impact import Answers, Home, Impact
from reconciler.core.resources import Json, LiveResource, Phase, Record, Resource, Role, Snapshot

BATCH = "training.effective_batch"


def impacts(changes: Iterable[Change], follow: Iterable[Change], snapshot: Snapshot) -> tuple[Impact, ...]:
    """One for each experiment of which something is created, updated, deleted or cancelled, sorted by name."""
    made: dict[str, list[Change]] = defaultdict(list)
    for change in (*changes, *follow):
        if change.action.mutates:
            made[change.address.experiment].append(change)
    live: dict[str, list[LiveResource]] = defaultdict(list)
    for item in snapshot.live:
        if item.address.experiment in made:
            live[item.address.experiment].append(item)
    return tuple(_impact(name, made[name], live[name], snapshot.records) for name in sorted(made))


def _impact(name: str, made: Sequence[Change], live: Sequence[LiveResource], records: Mapping[str, Record]) -> Impact:
    starts = [change.after for change in made if _creates(change, Role.TRAINING) and change.after]
    last = (_pruned(starts[0], records) or _last_run(live)) if starts else None
    serves = [item for item in live if item.address.role is Role.DEPLOYMENT and item.phase is Phase.READY]
    deploys = [change for change in made if _creates(change, Role.DEPLOYMENT)]
    recreated = any(change.reason is Reason.RECREATED for change in made)
    return Impact(
        experiment=name,
        runs=sum(one.runs for one in starts),
        evaluations=sum(_creates(change, Role.EVALUATION) for change in made),
        accelerators=sum(run.accelerators for run in starts),
        lasted=_number(last.outputs.get("run_seconds")) if last else None,
        lasted_on=int(_number(last.outputs.get("accelerators"))) if last else 0,
        lasted_as=last.stamp if last else "",
        longest=max((run.timeout for run in starts), default=0.0),
        answers=_answers(made, serves, deploys, recreated),
        home=_home(made, live),
        beside=sum(change.after.accelerators for change in deploys if change.after) if serves and not recreated else 0,
        batch=next((_pair(item) for change in made for item in change.fields if item.path == BATCH), None),
    )


def _answers(
    made: Sequence[Change], serves: Sequence[LiveResource], deploys: Sequence[Change], recreated: bool
) -> Answers:
    if not any(item.spec.get("traffic") for item in serves):
        return Answers.BEGIN if deploys else Answers.NONE
    gone = {change.before.name for change in made if change.action is Action.DELETE and change.before}
    if recreated and deploys:
        return Answers.GAP
    return Answers.GO_ON if deploys or any(item.name not in gone for item in serves) else Answers.END


def _home(made: Sequence[Change], live: Sequence[LiveResource]) -> Home:
    of_endpoint = [change for change in made if change.address.role is Role.ENDPOINT]
    if any(change.action is Action.CREATE for change in of_endpoint):
        return Home.NEW
    if any(change.action is Action.DELETE for change in of_endpoint):
        return Home.GONE
    return Home.KEPT if any(item.address.role is Role.ENDPOINT for item in live) else Home.NONE


def _last_run(live: Iterable[LiveResource]) -> LiveResource | None:
    """The newest job that succeeded and tells how long it took."""
    ended = (
        item
        for item in live
        if item.address.role is Role.TRAINING and item.phase is Phase.READY and "run_seconds" in item.outputs
    )
    return max(ended, key=lambda item: (item.created, item.name), default=None)


def _pruned(start: Resource, records: Mapping[str, Record]) -> LiveResource | None:
    """The very run that starts, as it went before its artifact was pruned, where its record tells how long it took."""
    record = records.get(start.stamp)
    if record is None or not record.pruned or not record.seconds:
        return None
    took = {"run_seconds": record.seconds, "accelerators": start.accelerators}
    return LiveResource(start.address, start.kind, "", start.stamp, Phase.READY, outputs=took)


def _creates(change: Change, role: Role) -> bool:
    return change.action is Action.CREATE and change.address.role is role


def _pair(item: FieldChange) -> tuple[Json, Json]:
    return item.before, item.after


def _number(value: Json) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
