"""When a gate judges, and against whom: once per gate text, when the metrics first appear, against what serves then.

What it said is kept: a revert, a repair, another image are never judged again, whatever serves meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.gates import Measured, judge
from reconciler.core.resources import Gate, LiveResource, Phase, Record, Resource
from reconciler.core.verdict import Verdict, label_of
from reconciler.core.world import World


def due_verdict(model: Resource, world: World) -> Verdict | None:
    """The verdict that the version of a gated model must carry: the kept one, or a new one.

    None where there is no gate, or no metrics yet. What serves already is judged as well: nothing is taken down by it.
    """
    gated = world.gated.get(model.address)
    if gated is None or gated.gate is None:
        return None
    return kept_verdict(gated, gated.gate, world) or _new_verdict(gated, gated.gate, world)


def foreseen_verdict(model: Resource, world: World) -> Verdict | None:
    """The verdict on metrics that are only imagined: that it is said is foreseen, what it says is not known.

    None where nothing of the metrics is imagined.
    """
    gated = world.gated.get(model.address)
    if gated is None or gated.gate is None:
        return None
    stamp = world.desired[gated.gate.metrics_of].stamp
    record = world.records.get(stamp)
    if record is None or not record.imagined:
        return None
    return Verdict(gated.address.experiment, stamp, gated.gate.text, passed=True, words="", imagined=True)


def kept_verdict(deployment: Resource, gate: Gate, world: World) -> Verdict | None:
    """What was said when the metrics first appeared; by the label of the model version where only that is left."""
    experiment, stamp = deployment.address.experiment, world.desired[gate.metrics_of].stamp
    for name in (experiment, *deployment.moved_from):
        if known := world.verdicts.get((name, stamp, gate.text)):
            return known
    labels = {live.outputs.get("gate") for live in _versions(deployment, world)}
    for passed in (True, False):
        if label_of(gate.text, stamp, passed=passed) in labels:
            words = f"{'' if passed else 'not '}passed, says the label of the model version; the numbers are gone"
            return Verdict(experiment, stamp, gate.text, passed, words, kept=True)
    return None


def champion_of(deployment: Resource, stamp: str, world: World) -> LiveResource | None:
    """The deployment with the most traffic whose model comes from another run than `stamp`, the candidate's."""
    rivals = [
        live
        for live in world.others(deployment)
        if live.phase is Phase.READY and not live.history and _share(live) and trained_by(live) != stamp
    ]
    return max(rivals, key=lambda live: (_share(live), live.created, live.name), default=None)


def judgeable(gate: Gate, world: World) -> bool:
    """There are metrics that the gate can judge."""
    return _metrics_of(world.desired[gate.metrics_of].stamp, world) is not None


def trained_by(live: LiveResource) -> str:
    """The stamp of the run that a deployment's model came from; empty when nothing tells."""
    return str(live.outputs.get("trained_by") or "")


def unjudged(world: World) -> Iterator[str]:
    """The records whose scores per row decide something now: candidates without a verdict, and their champions."""
    for gated in {one.address: one for one in world.gated.values()}.values():
        gate = gated.gate
        if gate is None or all(bound.confidence is None for bound in gate.bounds):
            continue
        stamp = world.desired[gate.metrics_of].stamp
        record = _metrics_of(stamp, world)
        if record is None or kept_verdict(gated, gate, world):
            continue
        yield stamp
        champion = champion_of(gated, record.of or stamp, world)
        if champion is not None and any(bound.relative and bound.confidence for bound in gate.bounds):
            its = world.measured(trained_by(champion), record.eval_digest)
            yield its.stamp if its else trained_by(champion)


def _new_verdict(deployment: Resource, gate: Gate, world: World) -> Verdict | None:
    stamp = world.desired[gate.metrics_of].stamp
    record = _metrics_of(stamp, world)
    if record is None:
        return None
    serving = champion_of(deployment, record.of or stamp, world)
    champion = None
    if serving:
        run = trained_by(serving) or serving.stamp
        champion = _measured(run, world.measured(run, record.eval_digest), world)
    candidate = _measured(record.of or stamp, record, world)
    judged = tuple(judge(bound, candidate, champion) for bound in gate.bounds)
    return Verdict(
        deployment.address.experiment,
        stamp,
        gate.text,
        all(item.passed for item in judged),
        "; ".join(item.words for item in judged),
        champion.stamp if champion else "",
        record.eval_digest,
        record.eval_rows,
        judged,
    )


def _metrics_of(stamp: str, world: World) -> Record | None:
    """The record, when it has metrics to judge by: not one that was made up, or whose artifact is gone."""
    record = world.records.get(stamp)
    return None if record is None or record.imagined or record.pruned else record


def _measured(run: str, record: Record | None, world: World) -> Measured:
    if record is None:
        return Measured(run, None)
    return Measured(run, record.metrics, record.eval_digest, record.eval_rows, world.scores.get(record.stamp))


def _versions(deployment: Resource, world: World) -> Iterator[LiveResource]:
    for address in deployment.depends_on:
        live = world.ready(world.desired[address])
        if live is not None:
            yield live


def _share(live: LiveResource) -> float:
    share = live.spec.get("traffic")
    return share if isinstance(share, (int, float)) else 0
