"""What is left of an experiment's past in the cloud: run records, model versions, traffic. Few calls, none a write."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from reconciler.backends import labels
from reconciler.backends.registry import KINDS
from reconciler.cloud.served import served
from reconciler.cloud.site import Site
from reconciler.cloud.snapshot import take_snapshot
from reconciler.core.errors import NotFound
from reconciler.core.lineage import Run, Traces
from reconciler.core.resources import RUNS, SHORT, Claim, LiveResource, Record, Role, Snapshot

THREADS = 8


def traces_of(site: Site, experiments: Collection[str], trainings: Collection[str]) -> Traces:
    """What is left of these experiments (the names it had), and of these training identities (64 hex digits).

    Raises `core.errors.CloudError`.
    """
    snapshot = take_snapshot(site.vertex, site.storage, site.target, ())
    mine = [item for item in snapshot.live if item.address.experiment in experiments]
    models = _versions(site, sorted({item.name.split("@", 1)[0] for item in mine if item.address.role is Role.MODEL}))
    return Traces(
        runs=_runs(site, snapshot, trainings),
        measured={item.stamp: item.metrics for item in snapshot.records.values() if item.of},
        versions={item.stamp: str(item.outputs.get("version_id", "")) for item in models},
        commits={item.stamp: _commit(item) for item in models},
        traffic={
            item.stamp: share
            for item in mine
            if item.address.role is Role.DEPLOYMENT and isinstance(share := item.spec.get("traffic"), int)
        },
        served=served(site),
    )


def _versions(site: Site, names: Iterable[str]) -> list[LiveResource]:
    found: list[LiveResource] = []
    for name in names:
        try:
            listed = list(site.vertex.list("ModelService", "ListModelVersions", {"name": name}, "models"))
        except NotFound:
            continue
        found += [item for payload in listed for item in KINDS["model"].live(payload, site.target.fleet)]
    return found


def _runs(site: Site, snapshot: Snapshot, trainings: Collection[str]) -> dict[str, Run]:
    jobs: dict[str, list[LiveResource]] = defaultdict(list)
    for item in sorted(snapshot.live, key=lambda item: (item.created, item.name)):
        if item.address.role in RUNS:
            jobs[item.stamp].append(item)

    def run(identity: str) -> Run | None:
        stamp = identity[:SHORT]
        job = jobs[stamp][-1] if jobs[stamp] else None
        if stamp in snapshot.records:
            found = _recorded(site, identity, snapshot.records[stamp], job)
        elif job is not None:
            found = Run(job.name, str(job.phase), place=_place(job))
        else:
            return None
        return replace(found, tries=_tries(jobs[stamp], snapshot.claims.get(stamp)))

    for identity in trainings:
        jobs[identity[:SHORT]]  # made before the threads look
    with ThreadPoolExecutor(THREADS) as pool:
        found = zip(trainings, pool.map(run, trainings), strict=True)
        return {identity[:SHORT]: one for identity, one in found if one is not None}


def _tries(jobs: Iterable[LiveResource], claim: Claim | None) -> tuple[str, ...]:
    """The causes of what came to nothing: jobs that failed, and creates that were refused."""
    ended = [(job.created, str(job.failure.cause)) for job in jobs if job.failure]
    ended += [(refusal.at, str(refusal.failure.cause)) for refusal in (claim.refusals if claim else ())]
    return tuple(cause for _, cause in sorted(ended))


def _place(job: LiveResource) -> str:
    """Where a job is, when it has a ladder."""
    several = labels.RUNG in labels.labels_of(job.outputs)
    return f"{job.outputs.get('strategy')} in {job.outputs.get('region')}" if several else ""


def _recorded(site: Site, identity: str, known: Record, job: LiveResource | None) -> Run:
    """The run record, read whole for its times; its listing tells the rest where it cannot be read."""
    name = site.target.record_uri(identity).removeprefix(f"gs://{site.target.bucket}/")
    try:
        record = json.loads(site.storage.read(name)[0])
        seconds, finished = float(record.get("train_seconds") or 0.0), str(record.get("finished") or "")
        place = " in ".join(str(record[key]) for key in ("strategy", "region") if record.get(key))
    except (NotFound, ValueError, TypeError, AttributeError):
        seconds, finished, place = 0.0, "", ""
    spent = max(job.since - job.created, 0.0) if job else 0.0
    where = job.name if job else str(known.outputs.get("job", ""))
    return Run(where, "pruned" if known.pruned else "trained", seconds or spent, finished, known.metrics, place)


def _commit(model: LiveResource) -> str:
    return labels.labels_of(model.outputs).get(labels.COMMIT, "")
