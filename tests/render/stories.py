"""Plans of a small fleet in which everything happens that a plan can tell of, made by the real planner."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.changes import Plan
from reconciler.core.errors import Diagnostic, Severity
from reconciler.core.resources import Declared, Phase, Resource, Snapshot, Source
from tests.core.builders import (
    converged,
    deployment,
    endpoint,
    fleet,
    gate,
    live,
    model,
    plan,
    record,
    snapshot,
    training,
)

MACHINE = {
    "run.machine.machine_type": Declared("g2-standard-12", "run"),
    "run.machine.accelerator_type": Declared("NVIDIA_L4", "run"),
    "run.machine.accelerator_count": Declared(1, "run"),
    "run.scheduling.strategy": Declared(["spot", "standard"], "run"),
}


def new(name: str, version: int = 1) -> tuple[Resource, ...]:
    run, *things = fleet(name, version)
    *rest, served = things
    run = replace(run, fields=MACHINE, accelerators=1, timeout=21_600.0)
    return (run, *rest, replace(served, gate=gate("eval_loss <= 1.2", experiment=name)))


def retrained(name: str) -> tuple[tuple[Resource, ...], Snapshot]:
    old = {"adapter.r": 16, "training.learning_rate": 2e-4}
    run = training(
        name,
        2,
        fields={"adapter.r": Declared(32, "retrain"), "training.learning_rate": Declared(1e-4, "retrain")},
        accelerators=1,
    )
    desired = (run, model(name, 2), endpoint(name), deployment(name, 2, accelerators=1))
    seen = converged(name)
    took = {"run_seconds": 2520.0, "accelerators": 1}
    declared = tuple(
        replace(item, declared=old, outputs=took) if item.address == run.address else item for item in seen.live
    )
    return desired, replace(seen, live=declared)


def scaled(name: str) -> tuple[tuple[Resource, ...], Snapshot]:
    served = deployment(name, spec={"max_replica_count": 3, "traffic": 100})
    return (*fleet(name)[:3], served), converged(name)


def together(*snapshots: Snapshot) -> Snapshot:
    return Snapshot(
        tuple(item for seen in snapshots for item in seen.live),
        {stamp: item for seen in snapshots for stamp, item in seen.records.items()},
    )


def everything() -> Plan:
    retrain, before = retrained("sql-writer")
    scale, small = scaled("faq")
    failed = training("broken-bot", 7)
    below = fleet("weak-bot", 9)
    held = (*below[:3], replace(below[3], gate=gate("eval_loss <= 0.5", experiment="weak-bot")))
    desired = (*new("support-bot", 4), *retrain, *scale, *fleet("calm"), failed, *held, training("busy", 5))
    seen = together(
        before,
        small,
        converged("calm"),
        converged("legacy-bot", 3),
        snapshot(live(failed, Phase.FAILED)),
        snapshot(*(live(item) for item in below[:3]), records=(record(below[0]),)),
        snapshot(live(training("busy", 5), Phase.RUNNING)),
    )
    warning = Diagnostic(
        Source("experiments/faq.yaml", 7, 3),
        "unpinned-data",
        "gs://acme/faq.jsonl has no pin",
        "Run `loraform pin faq`.",
        Severity.WARNING,
    )
    return plan(desired, seen, target="prod", diagnostics=(warning,))


def hostile() -> Plan:
    run = training("bot", 2, fields={"adapter.r": Declared("\x1b[2J\u202egnp.exe\nin sync\x07" + "x" * 100, "retrain")})
    before = live(training("bot"), declared={"adapter.r": "\u2066a\u200b"})
    return plan((run,), snapshot(before, records=(record(training("bot")),)))
