"""What the cloud tells a ledger: how each experiment is now, what is left of each run, and what it cost.

All of it is read, nothing written. Logs are read of so many runs only: Cloud Logging counts requests by the minute.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.cli.orphans import prices_of
from reconciler.cloud.logs import job_logs
from reconciler.cloud.site import Site
from reconciler.cloud.traces import traces_of
from reconciler.cloud.verdicts import folder_of, verdicts_in
from reconciler.core.errors import CloudError
from reconciler.core.lineage import Run, Step, Traces
from reconciler.core.prices import Prices
from reconciler.core.resources import Json, LiveResource, Resource, Role
from reconciler.render.ledger.health import health_of, sync_of
from reconciler.render.ledger.values import Curve, Sample, Told, Word
from reconciler.render.progress import event_of

CURVES = 40
"""Runs whose log is read."""
_SAMPLES = 8
_LINES = 20_000
"""Lines of one log that are read."""
_LONGEST = 2_000
"""Characters of a prompt or an answer that are kept."""
_LARGEST = 8_000_000
"""Bytes of a file of answers that is read."""


@dataclass(frozen=True, slots=True)
class Live:
    """The cloud's part, by experiment or by the stamp of a run."""

    traces: Mapping[str, Traces] = field(default_factory=dict)
    health: Mapping[str, Word] = field(default_factory=dict)
    sync: Mapping[str, Word] = field(default_factory=dict)
    endpoints: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, Told] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    hours: Mapping[str, float] = field(default_factory=dict)


def read_live(steps: Mapping[str, Sequence[Step]], target: str | None) -> Live:
    """Ask the target. Raises LoraformError where it cannot be asked."""
    from reconciler.cli.agreed import look_at_agreed

    agreed = look_at_agreed(target)
    site, snapshot, plan = agreed.site, agreed.seen.snapshot, agreed.seen.plan
    runs = {
        item.stamp: item
        for own in steps.values()
        for step in reversed(own)
        for item in step.point.resources
        if item.address.role is Role.TRAINING
    }
    names = {*steps, *(step.point.experiment for own in steps.values() for step in own)}
    whole = traces_of(site, names, sorted({item.identity for item in runs.values()}))
    live: dict[str, list[LiveResource]] = defaultdict(list)
    for item in snapshot.live:
        live[item.address.experiment].append(item)
    changes = defaultdict(list)
    for change in plan.changes:
        changes[change.address.experiment].append(change)
    costs, hours = _spent(runs, whole.runs, prices_of(agreed.project), site.target.region)
    return Live(
        {name: _own(whole, live[name]) for name in steps},
        {name: health_of(live[name], changes[name]) for name in steps},
        {name: sync_of(changes[name]) for name in steps},
        {
            item.address.experiment: item.name.rsplit("/", 1)[-1]
            for item in snapshot.live
            if item.address.role is Role.ENDPOINT
        },
        _told(site, whole.runs, _newest(steps)),
        {stamp: run.metrics for stamp, run in whole.runs.items() if run.metrics},
        costs,
        hours,
    )


def _own(whole: Traces, live: Iterable[LiveResource]) -> Traces:
    """The traces with the traffic of one experiment: two that are equal share the stamps of their deployments."""
    traffic = {
        item.stamp: share
        for item in live
        if item.address.role is Role.DEPLOYMENT and isinstance(share := item.spec.get("traffic"), int)
    }
    return replace(whole, traffic=traffic)


def _newest(steps: Mapping[str, Sequence[Step]]) -> list[str]:
    """The runs that the newest commits want, the newest first."""
    last = [(own[0].point.commit.at, own[0].stamp(Role.TRAINING)) for own in steps.values() if own]
    return [stamp for _, stamp in sorted(last, reverse=True) if stamp]


def _told(site: Site, runs: Mapping[str, Run], newest: Sequence[str]) -> dict[str, Told]:
    said = {verdict.stamp: verdict for verdict in verdicts_in(site.storage.list(folder_of(site.target))).values()}
    records = _names(site)
    shown = [stamp for stamp in newest if stamp in runs][:CURVES]
    found: dict[str, Told] = {}
    with ThreadPoolExecutor(8) as pool:
        read = dict(
            zip(sorted(runs), pool.map(lambda stamp: _record(site, records.get(stamp)), sorted(runs)), strict=True)
        )
        curves = dict(zip(shown, pool.map(lambda stamp: _curve(site, runs[stamp]), shown), strict=True))
        samples = dict(zip(shown, pool.map(lambda stamp: _samples(site, read[stamp]), shown), strict=True))
    for stamp in runs:
        verdict = said.get(stamp)
        found[stamp] = Told(
            plan=str(read[stamp].get("plan") or ""),
            gate=verdict.words if verdict else "",
            passed=verdict.passed if verdict else None,
            champion=verdict.champion if verdict else "",
            curve=curves.get(stamp, Curve()),
            samples=samples.get(stamp, ()),
        )
    return found


def _names(site: Site) -> dict[str, str]:
    prefix = f"{site.target.folder.removeprefix(f'gs://{site.target.bucket}/')}/runs/"
    listed = (item.name for item in site.storage.list(prefix) if item.name.endswith(".json"))
    return {name.rsplit("/", 1)[-1][:20]: name for name in listed}


def _record(site: Site, name: str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(site.storage.read(name)[0]) if name else {}
    except (CloudError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _curve(site: Site, run: Run) -> Curve:
    """The losses that the log of a run tells; none where it has no log any more."""
    loss, judged = [], []
    try:
        for number, (_, line) in enumerate(job_logs(site.vertex, run.job) if run.job else ()):
            event = event_of(line)
            if event and event["event"] == "step":
                loss.append((event.get("step"), event.get("loss")))
            elif event and event["event"] == "evaluation":
                judged.append((event.get("step"), event.get("eval_loss")))
            if number >= _LINES:
                break
    except CloudError:
        return Curve()
    return Curve(_numbers(loss), _numbers(judged))


def _numbers(pairs: Iterable[tuple[Any, Any]]) -> tuple[tuple[float, float], ...]:
    right = (pair for pair in pairs if all(type(one) in (int, float) for one in pair))
    return tuple((float(x), float(y)) for x, y in right)


def _samples(site: Site, record: Mapping[str, Any]) -> tuple[Sample, ...]:
    """The first answers beside the artifact, where it has some."""
    prefix, uri = f"gs://{site.target.bucket}/", str(record.get("artifact_uri") or "")
    if not uri.startswith(prefix):
        return ()
    name = f"{uri.removeprefix(prefix).rstrip('/')}/predictions.jsonl"
    try:
        if not any(item.name == name and item.size <= _LARGEST for item in site.storage.list(name)):
            return ()
        lines = site.storage.read(name)[0].decode(errors="replace").split("\n")[:_SAMPLES]
        rows = [row for row in (json.loads(line) for line in lines if line) if isinstance(row, dict)]
    except (CloudError, ValueError):
        return ()
    return tuple(
        Sample(*(str(row.get(key, ""))[:_LONGEST] for key in ("prompt", "expected", "answer"))) for row in rows
    )


def _spent(
    wanted: Mapping[str, Resource], runs: Mapping[str, Run], prices: Prices, region: str
) -> tuple[dict[str, float], dict[str, float]]:
    """(USD where all prices are known and it was no spot machine, accelerator hours), by the stamp of the run."""
    costs, hours = {}, {}
    for stamp, run in runs.items():
        if not run.seconds or stamp not in wanted:
            continue
        declared = {path: item.value for path, item in wanted[stamp].fields.items()}
        if wanted[stamp].accelerators:
            hours[stamp] = wanted[stamp].accelerators * run.seconds / 3600
        spot = "spot" in str(declared.get("run.scheduling.strategy", "")).lower() and not run.place.startswith(
            "standard"
        )
        hour = prices.of_machine(_machine(declared), region)
        replicas = declared.get("run.machine.replica_count", 1)
        if hour is not None and not spot and isinstance(replicas, int):
            costs[stamp] = hour * replicas * run.seconds / 3600
    return costs, hours


def _machine(declared: Mapping[str, Json]) -> dict[str, Json]:
    keys = ("machine_type", "accelerator_type", "accelerator_count")
    return {key: declared.get(f"run.machine.{key}") for key in keys}
