"""The decision table for things: models, endpoints, deployments. Runs have their own (`runs.py`).

Each function answers for one row; `decide_thing` puts them in the order in which they count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from reconciler.core.changes import Action, Change, FieldChange, Reason
from reconciler.core.diff import declared_changes, setting_changes
from reconciler.core.gates import gate_stamp, judge
from reconciler.core.identity import canonical
from reconciler.core.moves import NAME
from reconciler.core.resources import Address, Json, LiveResource, Phase, Resource
from reconciler.core.rollout import due, makes_room, stamps_of, waits_until
from reconciler.core.world import World


def decide_thing(resource: Resource, world: World, decided: Mapping[Address, Change]) -> list[Change]:
    """All changes at the address of a desired thing: one about the thing itself, then those about its predecessors."""
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
        return after_failure(resource, live, live.tries, world)
    return _change(resource, Action.WAIT, Reason.IN_PROGRESS, live.phase.value, before=live)


def compare(resource: Resource, live: LiveResource, world: World) -> Change:
    """A ready object of the desired identity: in sync, to be updated in place, or kept at a step of its roll-out."""
    wanted = due(resource, live, world)
    fields = setting_changes(wanted, live)
    if former := [item for item in (live, *world.others(resource)) if item.adopted_from]:
        return _adopt(wanted, live, former, fields, world)
    if not fields and wanted is resource:
        return _change(resource, Action.NOOP, Reason.IN_SYNC, before=live)
    if not fields:
        return _change(resource, Action.WAIT, Reason.STEP_HELD, waits_until(resource, live), before=live)
    stamps = stamps_of(wanted, live, world.now)
    return replace(_change(wanted, Action.UPDATE, _why(live, fields), before=live), fields=fields, stamps=stamps)


def _adopt(
    wanted: Resource, live: LiveResource, former: list[LiveResource], fields: tuple[FieldChange, ...], world: World
) -> Change:
    """An update that also writes the labels of what was adopted, of this object and of its further versions."""
    names = sorted({item.adopted_from for item in former})
    reason = _why(live, fields) if fields else Reason.ADOPTED
    named = tuple(FieldChange(NAME, name, wanted.address.experiment, "label") for name in names)
    return replace(
        _change(wanted, Action.UPDATE, reason, f"adopted from {', '.join(names)}", before=live),
        fields=(*named, *fields),
        along=tuple(item for item in former if item is not live),
        stamps=stamps_of(wanted, live, world.now),
    )


def _why(live: LiveResource, fields: tuple[FieldChange, ...]) -> Reason:
    drifted = any(
        item.path in live.declared and canonical(live.declared[item.path]) != canonical(item.before) for item in fields
    )
    return Reason.DRIFTED if drifted else Reason.SETTINGS_CHANGED


def after_failure(resource: Resource, live: LiveResource, tries: int, world: World) -> Change | None:
    """What follows a failure: None (try again now), a wait, or a hold until git says something new."""
    if live.attempt_key and live.attempt_key != resource.attempt_key:
        return None
    message = live.failure.message.split("\n", 1)[0] if live.failure else "it failed and does not say why"
    again = live.failure.cause.meaning.again if live.failure else None
    if again is None:
        return _change(resource, Action.HOLD, Reason.FAILED, message, before=live)
    most = min(again.tries, world.patience.tries)
    if tries >= most:
        return _change(resource, Action.HOLD, Reason.FAILED, f"{message} ({tries} tries)", before=live)
    due = live.since + world.patience.backoff * again.slower * 2 ** (tries - 1)
    if world.now < due:
        detail = f"{message} (try {tries + 1} of {most} from {moment(due)} on)"
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
    held = hold_by_name(resource, world) or hold_by_prerequisite(resource, world, decided)
    if held is not None:
        return held
    pending = [address for address in resource.depends_on if _unfinished(decided[address])]
    if pending:
        return replace(_change(resource, Action.WAIT, Reason.PREREQUISITE), waits_on=tuple(pending))
    gated = hold_by_gate(resource, world)
    if gated is not None:
        return gated
    claimed = wait_for_claim(resource, world)
    if claimed is not None:
        return claimed
    return create(resource, world, others)


def create(resource: Resource, world: World, others: tuple[LiveResource, ...]) -> Change:
    """Create it, and say why: absent, another identity, another attempt, or once more after a passing failure."""
    ended = next(iter(world.same(resource)), None)
    predecessor = next(iter(world.others(resource)), None)
    if ended is not None:
        reason = Reason.RETRY if ended.attempt_key == resource.attempt_key else Reason.ATTEMPT_CHANGED
    else:
        reason = Reason.IDENTITY_CHANGED if predecessor else Reason.ABSENT
    declared = predecessor.declared if predecessor else {}
    return replace(
        _change(resource, Action.CREATE, reason, before=ended or predecessor),
        replaces=others,
        fields=declared_changes(resource, declared) if declared else (),
        stamps=verdict_stamps(resource, world),
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
    going = resource.exclusive and taker.address not in world.desired
    action = Action.WAIT if going else Action.HOLD
    detail = f"{resource.named} is the {resource.address.role} of {taker.address.experiment}"
    return _change(
        resource, action, Reason.NAME_TAKEN, detail if going else f"{detail}: give this experiment another name"
    )


def hold_by_prerequisite(resource: Resource, world: World, decided: Mapping[Address, Change]) -> Change | None:
    """A held or suspended prerequisite holds what needs it, and so on up the chain."""
    for address in resource.depends_on:
        if decided[address].action is Action.HOLD:
            change = _change(resource, Action.HOLD, Reason.PREREQUISITE, f"{address.role} is held")
            return replace(change, waits_on=(address,))
        if any(live.suspended for live in world.live.get(address, ())):
            return _change(resource, Action.HOLD, Reason.SUSPENDED, f"loraform resume {address.experiment}")
    return None


def hold_by_gate(resource: Resource, world: World) -> Change | None:
    """A deployment whose model's metrics are below the gate is held; a verdict once recorded is not judged again."""
    if resource.gate is None:
        return None
    passed, words = gate_verdict(resource, world)
    return None if passed else _change(resource, Action.HOLD, Reason.GATE, words)


def gate_verdict(resource: Resource, world: World) -> tuple[bool, str]:
    """(passed, why). A verdict recorded with the model wins; else the metrics of the run record are judged."""
    gate = resource.gate
    record = world.records.get(world.desired[gate.metrics_of].stamp) if gate else None
    if gate is None or record is None or record.imagined:
        return True, "not judged yet"
    verdict = judge(gate.expressions, record.metrics, champion_metrics(resource, world))
    recorded = {live.outputs.get("gate") for address in resource.depends_on for live in _ready(address, world)}
    for passed in (True, False):
        if gate_stamp(gate.expressions, passed=passed) in recorded:
            return passed, "; ".join(verdict.lines)
    return verdict.passed, "; ".join(verdict.lines)


def champion_metrics(resource: Resource, world: World) -> Mapping[str, float] | None:
    """The metrics of the identity that has the most traffic now, other than the candidate; None if there is none."""
    serving = [live for live in world.others(resource) if live.phase is Phase.READY and not live.history]
    champion = max(serving, key=_share, default=None)
    record = world.records.get(str(champion.outputs.get("trained_by", ""))) if champion else None
    return record.metrics if record else None


def verdict_stamps(resource: Resource, world: World) -> Mapping[str, str]:
    """The label that keeps the gate's verdict with the model version, when `resource` is a gated model."""
    gated = world.gated.get(resource.address)
    if gated is None or gated.gate is None or gated.gate.metrics_of not in resource.depends_on:
        return {}
    passed, _ = gate_verdict(gated, world)
    return {"loraform-gate": gate_stamp(gated.gate.expressions, passed=passed)}


def wait_for_claim(resource: Resource, world: World) -> Change | None:
    """Somebody wrote a claim on this identity moments ago: the object is about to appear."""
    claim = world.claims.get(resource.stamp)
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
    return change.action not in (Action.NOOP, Action.UPDATE)


def _ready(address: Address, world: World) -> tuple[LiveResource, ...]:
    live = world.ready(world.desired[address])
    return (live,) if live else ()


def _share(live: LiveResource) -> float:
    return _number(live.spec.get("traffic"))


def _number(value: Json) -> float:
    return value if isinstance(value, (int, float)) else 0


def _change(
    resource: Resource, action: Action, reason: Reason, detail: str = "", before: LiveResource | None = None
) -> Change:
    return Change(resource.address, resource.kind, action, reason, detail, before=before, after=resource)
