"""The decision table for things: models, endpoints, deployments. Runs have their own (`runs.py`).

Each function answers for one row; `decide_thing` puts them in the order in which they count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from reconciler.core.changes import Action, Change, FieldChange, Reason
from reconciler.core.diff import declared_changes, setting_changes
from reconciler.core.identity import canonical
from reconciler.core.judging import due_verdict, foreseen_verdict, judgeable, kept_verdict
from reconciler.core.ladder import Climb, on_rung
from reconciler.core.moves import NAME
from reconciler.core.resources import Address, Json, LiveResource, Phase, Resource
from reconciler.core.rollout import due, makes_room, stamps_of, waits_until
from reconciler.core.verdict import GATE, Verdict
from reconciler.core.world import World


def decide_thing(resource: Resource, world: World, decided: Mapping[Address, Change]) -> list[Change]:
    """All changes at the address of a desired thing: one about the thing itself, then those about its predecessors."""
    if resource.address in world.barred:
        return [_change(resource, Action.HOLD, Reason.BARRED, world.barred[resource.address])]
    same = world.same(resource)
    settled = decide_existing(resource, same, world) if same else None
    if settled is not None:
        return [settled, *superseded(resource, settled, world)]
    change = decide_create(resource, world, decided)
    return recreate(change, world) if change.action is Action.CREATE else [change]


def recreate(change: Change, world: World) -> list[Change]:
    """A create, or first the deletion of what has the machines that it needs."""
    if change.after is None or not (older := makes_room(change.after, world)):
        return [change]
    foreign = max((_number(live.outputs.get("foreign")) for live in older), default=0)
    if foreign:
        words = f"models that are not Loraform's have {foreign:g} % and would get all: take them off, or blue_green"
        return [replace(change, action=Action.HOLD, reason=Reason.IN_USE, detail=words)]
    if any(live.protect for live in older):
        words = (
            "`strategy: recreate` deletes what serves first: take blue_green, or apply a commit without `protect` first"
        )
        return [replace(change, action=Action.HOLD, reason=Reason.PROTECTED, detail=words)]
    waiting = replace(change, action=Action.WAIT, reason=Reason.RECREATED, detail="nothing answers meanwhile")
    return [waiting, *(_deleted(change.after, live, Reason.RECREATED) for live in older)]


def decide_existing(resource: Resource, same: tuple[LiveResource, ...], world: World) -> Change | None:
    """The row for an object of the desired identity; None when it is as good as absent and may be created."""
    ready = world.ready(resource)
    if ready is not None:
        return compare(resource, ready, world)
    live = same[0]
    if live.phase in (Phase.DELETING, Phase.UNKNOWN):
        return wait_or_stuck(live, world, resource)
    if live.phase is Phase.FAILED:
        return after_failure(resource, live, Climb(0, False, live.tries, live.tries), world)
    return _change(resource, Action.WAIT, Reason.IN_PROGRESS, live.phase.value, before=live)


def compare(resource: Resource, live: LiveResource, world: World) -> Change:
    """A ready object of the desired identity: in sync, to be updated in place, or kept at a step of its roll-out."""
    wanted = due(resource, live, world)
    fields = setting_changes(wanted, live)
    if former := [item for item in (live, *world.others(resource)) if item.adopted_from]:
        return _adopt(wanted, live, former, fields, world)
    verdict = due_verdict(resource, world) or foreseen_verdict(resource, world)
    if verdict and live.outputs.get("gate") != verdict.label:
        return judged(resource, live, verdict, fields)
    if not fields and wanted is resource:
        return _change(resource, Action.NOOP, Reason.IN_SYNC, doubted(resource, world), before=live)
    if not fields:
        return _change(resource, Action.WAIT, Reason.STEP_HELD, waits_until(resource, live), before=live)
    stamps = stamps_of(wanted, live, world.now)
    return replace(_change(wanted, Action.UPDATE, _why(live, fields), before=live), fields=fields, stamps=stamps)


def doubted(resource: Resource, world: World) -> str:
    """Words for a deployment that serves though its gate, or new rows, say now that it should not; mostly none."""
    said = kept_verdict(resource, resource.gate, world) if resource.gate else None
    return "" if said is None or said.passed else f"serves, and does not pass its gate: {said.words}"


def _adopt(
    wanted: Resource, live: LiveResource, former: list[LiveResource], fields: tuple[FieldChange, ...], world: World
) -> Change:
    """An update that also writes the labels of what was adopted, of this object and of its further versions."""
    names = sorted({item.adopted_from for item in former})
    reason = _why(live, fields) if fields else Reason.ADOPTED
    named = tuple(FieldChange(NAME, name, wanted.address.experiment, "label") for name in names)
    others = f"; {live.in_use}, and keeps its traffic" if live.in_use else ""
    return replace(
        _change(wanted, Action.UPDATE, reason, f"adopted from {', '.join(names)}{others}", before=live),
        fields=(*named, *fields),
        along=tuple(item for item in former if item is not live),
        stamps=stamps_of(wanted, live, world.now),
    )


def _why(live: LiveResource, fields: tuple[FieldChange, ...]) -> Reason:
    drifted = any(
        item.path in live.declared and canonical(live.declared[item.path]) != canonical(item.before) for item in fields
    )
    return Reason.DRIFTED if drifted else Reason.SETTINGS_CHANGED


def judged(resource: Resource, live: LiveResource, verdict: Verdict, fields: tuple[FieldChange, ...]) -> Change:
    """A registered model gets its verdict as a label, with whatever else of it differs."""
    before = str(live.outputs.get("gate") or "").partition("-")[0] or None
    said = "judged" if verdict.imagined else "passed" if verdict.passed else "failed"
    label = FieldChange("gate", before, said, "label")
    change = _change(resource, Action.UPDATE, Reason.JUDGED, before=live)
    return replace(change, fields=(*fields, label), stamps={GATE: verdict.label}, verdict=verdict)


def after_failure(resource: Resource, live: LiveResource, step: Climb, world: World) -> Change | None:
    """What follows a failure: None (try again now, as `step` says), a wait, or a hold until git says something new."""
    if live.attempt_key and live.attempt_key != resource.attempt_key:
        return None
    message = live.failure.message.split("\n", 1)[0] if live.failure else "it failed and does not say why"
    again = live.failure.cause.meaning.again if live.failure else None
    if again is None:
        return _change(resource, Action.HOLD, Reason.FAILED, message, before=live)
    if step.at_once:
        return None
    most = min(again.tries, world.patience.tries)
    if step.waits >= most:
        return _change(resource, Action.HOLD, Reason.FAILED, f"{message} ({step.tries} tries)", before=live)
    due = live.since + world.patience.backoff * again.slower * 2 ** (step.waits - 1)
    if world.now < due:
        where = on_rung(resource, step.rung)
        words = f"{where}, try {step.tries + 1}" if where else f"try {step.tries + 1} of {most}"
        detail = f"{words} from {moment(due)} on: {message}"
        return _change(resource, Action.WAIT, Reason.BACKOFF, detail, before=live)
    return None


def decide_create(resource: Resource, world: World, decided: Mapping[Address, Change]) -> Change:
    """Nothing of this identity exists, or it failed and may be tried again: is its time come?"""
    others = tuple(live for live in world.others(resource) if not live.history)
    if resource.exclusive and others:
        return _change(
            resource,
            Action.HOLD,
            Reason.EXCLUSIVE,
            f"{others[0].name} holds the name: destroy it first",
            before=others[0],
        )
    verdict = verdict_on(resource, world, decided)
    needed = prerequisites(resource, verdict)
    held = (
        hold_by_name(resource, world)
        or hold_by_prerequisite(resource, needed, world, decided)
        or hold_by_gate(resource, verdict)
    )
    if held is not None:
        return held
    pending = [address for address in needed if _unfinished(decided[address])]
    if not pending and resource.gate and verdict is None and judgeable(resource.gate, world):
        pending = list(resource.depends_on)  # the model gets its verdict first
    if pending:
        return replace(_change(resource, Action.WAIT, Reason.PREREQUISITE), waits_on=tuple(pending))
    claimed = wait_for_adopted(resource, world) or wait_for_claim(resource, world)
    if claimed is not None:
        return claimed
    return create(resource, world, others, verdict)


def create(
    resource: Resource, world: World, others: tuple[LiveResource, ...], verdict: Verdict | None = None
) -> Change:
    """Create it, and say why: absent, another identity, another attempt, or once more after a passing failure."""
    ended = next(iter(world.same(resource)), None)
    predecessor = next(iter(world.others(resource)), None)
    if ended is not None:
        reason = Reason.RETRY if ended.attempt_key == resource.attempt_key else Reason.ATTEMPT_CHANGED
    else:
        reason = Reason.IDENTITY_CHANGED if predecessor else Reason.ABSENT
    declared = predecessor.declared if predecessor else {}
    due = due_verdict(resource, world) or foreseen_verdict(resource, world)
    return replace(
        _change(resource, Action.CREATE, reason, before=ended or predecessor),
        replaces=others,
        fields=declared_changes(resource, declared) if declared else (),
        stamps={GATE: due.label} if due and not due.imagined else {},
        verdict=due or verdict,
    )


def superseded(resource: Resource, settled: Change, world: World) -> list[Change]:
    """Older objects go once the new one is ready and in sync, so once it also has the traffic."""
    if settled.action is not Action.NOOP:
        return []
    return [
        _deleted(resource, live, Reason.SUPERSEDED)
        for live in world.others(resource)
        if not live.history and live.phase is not Phase.DELETING
    ]


def hold_by_name(resource: Resource, world: World) -> Change | None:
    """The id that it would get is another experiment's, which came by it under a former name."""
    taker = world.taken.get((resource.address.role, resource.named)) if resource.named else None
    if taker is None or taker.address == resource.address:
        return None
    detail = f"{resource.named} is the {resource.address.role} of {taker.address.experiment}"
    going = resource.exclusive and taker.address not in world.desired
    if going and not taker.protect and not taker.in_use:
        return _change(resource, Action.WAIT, Reason.NAME_TAKEN, detail)
    way = "which is held as well" if going else "give this experiment another name"
    return _change(resource, Action.HOLD, Reason.NAME_TAKEN, f"{detail}: {way}")


def prerequisites(resource: Resource, verdict: Verdict | None) -> tuple[Address, ...]:
    """What must be there first: for what a gate has not judged yet also the run whose metrics it judges."""
    unjudged = (resource.gate.metrics_of,) if resource.gate and verdict is None else ()
    return (*unjudged, *resource.depends_on)


def hold_by_prerequisite(
    resource: Resource, needed: tuple[Address, ...], world: World, decided: Mapping[Address, Change]
) -> Change | None:
    """A held or suspended prerequisite holds what needs it, and so on up the chain."""
    for address in needed:
        if decided[address].action is Action.HOLD:
            change = _change(resource, Action.HOLD, Reason.PREREQUISITE, f"{address.role} is held")
            return replace(change, waits_on=(address,))
        if any(live.suspended for live in world.live.get(address, ())):
            return _change(resource, Action.HOLD, Reason.SUSPENDED, f"loraform resume {address.experiment}")
    return None


def hold_by_gate(resource: Resource, verdict: Verdict | None) -> Change | None:
    """A deployment whose model did not pass its gate is held; one that nobody could judge yet is not."""
    if verdict is None or verdict.passed:
        return None
    return replace(_change(resource, Action.HOLD, Reason.GATE, verdict.words), verdict=verdict)


def verdict_on(resource: Resource, world: World, decided: Mapping[Address, Change]) -> Verdict | None:
    """What the gate of a deployment said: kept from before, or said in this very pass about its model."""
    if resource.gate is None:
        return None
    said = (decided[address].verdict for address in resource.depends_on)
    return next((verdict for verdict in said if verdict), None) or kept_verdict(resource, resource.gate, world)


def wait_for_adopted(resource: Resource, world: World) -> Change | None:
    """A moment ago the experiment was given a thing that has another id; a list that does not show it is an old one."""
    claim = world.claims.get(resource.claim_key)
    if not resource.exclusive or claim is None or claim.object.rsplit("/", 1)[-1] in ("", resource.named):
        return None
    if world.now >= claim.at + world.patience.claim:
        return None
    return _change(resource, Action.WAIT, Reason.CLAIMED, f"it is {claim.object.rsplit('/', 1)[-1]}, adopted just now")


def wait_for_claim(resource: Resource, world: World) -> Change | None:
    """Somebody wrote a claim on this identity moments ago: the object is about to appear."""
    claim = world.claims.get(resource.claim_key)
    if resource.collides or claim is None or world.now >= claim.at + world.patience.claim:
        return None
    known = world.runs.get(resource.stamp, ()) if resource.once else world.same(resource)
    if any(live.created >= claim.at for live in known):
        return None
    return _change(resource, Action.WAIT, Reason.CLAIMED, f"by {claim.by}")


def wait_or_stuck(live: LiveResource, world: World, resource: Resource | None = None) -> Change:
    """Deleting and unknown things are waited for, an hour long; then a person must look."""
    stuck = world.now > live.since + world.patience.stuck
    action, reason = (Action.HOLD, Reason.STUCK) if stuck else (Action.WAIT, Reason.IN_PROGRESS)
    return Change(live.address, live.kind, action, reason, live.phase.value, before=live, after=resource)


def moment(seconds: float) -> str:
    """A time as plans print it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _deleted(resource: Resource, live: LiveResource, reason: Reason) -> Change:
    return replace(_change(resource, Action.DELETE, reason, before=live), after=None)


def _unfinished(change: Change) -> bool:
    """A verdict must be kept before anything is done on the strength of it."""
    new = change.verdict is not None and not change.verdict.kept
    return new or change.action not in (Action.NOOP, Action.UPDATE)


def _number(value: Json) -> float:
    return value if isinstance(value, (int, float)) else 0


def _change(
    resource: Resource, action: Action, reason: Reason, detail: str = "", before: LiveResource | None = None
) -> Change:
    return Change(resource.address, resource.kind, action, reason, detail, before=before, after=resource)
