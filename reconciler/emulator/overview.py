"""What the web page shows: jobs of every kind, models and endpoints of all projects in one answer, and the log of a job
in pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from reconciler.emulator import (
    deployments,
    endpoints,
    hyperparameter_jobs,
    job_runs,
    jobs,
    models,
    pipeline_jobs,
    training_pipelines,
    tuning_jobs,
)
from reconciler.emulator.store import Row
from reconciler.emulator.wire.codec import Message, message_class, to_json
from reconciler.emulator.wire.errors import Json, not_found
from reconciler.emulator.wire.names import last
from reconciler.emulator.world import World

SHOWN = 200
PIECE = 1 << 20


def overview(world: World) -> Json:
    """`{"now", "jobs", "owners", "models", "endpoints", "deployments"}`, the newest first and at most 200 of each.

    `owners` are what works through custom jobs: `kind`, the ids of its `jobs`, and what every job has. `now` is in
    seconds since 1970 by the server's clock, which a test may have moved.
    """
    return {
        "now": world.clock(),
        "jobs": [to_json(jobs.read(row)) for row in _newest(world, jobs.KIND)],
        "owners": [_owner(world, row, read) for kind, read in _READERS.items() for row in _newest(world, kind)],
        "models": [_model(world, row.name) for row in _newest(world, models.KIND)],
        "endpoints": [
            to_json(message_class("Endpoint").FromString(row.body)) for row in _newest(world, endpoints.KIND)
        ],
        "deployments": [
            {
                "endpoint": row.parent,
                "id": last(row.name),
                "phase": row.extra["phase"],
                "displayName": deployments.read(row).display_name,
            }
            for row in _newest(world, deployments.KIND)
        ],
    }


def job_log(world: World, job_id: str, after: int) -> Json:
    """`{"job", "text", "next"}`: a job, and the log of its first replica from byte `after` on, a mebibyte at most."""
    folder = job_runs.log_folder(world, job_id)
    row = next((row for row in world.store.every(jobs.KIND) if row.name.endswith(f"/{job_id}")), None)
    if row is None:
        raise not_found(f"The job {job_id}")
    raw = _piece(folder / "workerpool0-0.log", max(0, after))
    whole = raw if len(raw) < PIECE else raw[: raw.rfind(b"\n") + 1] or raw
    cut = whole[: whole.rfind(b"\n") + 1] or (whole if len(raw) == PIECE else b"")
    text = cut.decode("utf-8", errors="replace")
    return {"job": to_json(jobs.read(row)), "text": text, "next": max(0, after) + len(cut)}


def _piece(log: Path, after: int) -> bytes:
    try:
        with log.open("rb") as stream:
            stream.seek(after)
            return stream.read(PIECE)
    except OSError:
        return b""


_READERS: Mapping[str, Callable[[Row], Message]] = {
    hyperparameter_jobs.KIND: hyperparameter_jobs.read,
    pipeline_jobs.KIND: pipeline_jobs.read,
    training_pipelines.KIND: training_pipelines.read,
    tuning_jobs.KIND: tuning_jobs.read,
}
_TIMES = ("createTime", "startTime", "endTime")


def _owner(world: World, row: Row, read: Callable[[Row], Message]) -> Json:
    found = to_json(read(row))
    backing = found.get("trainingTaskMetadata", {}).get("backingCustomJob")
    children = [backing] if backing else [child.name for child in world.store.children(jobs.KIND, row.name)]
    shown = {key: found[key] for key in ("name", "displayName", "state", "error", *_TIMES) if key in found}
    shown.setdefault("displayName", found.get("tunedModelDisplayName", last(row.name)))
    return {**shown, "kind": row.kind, "jobs": [last(name) for name in children]}


def _newest(world: World, kind: str) -> list[Row]:
    return world.store.every(kind)[::-1][:SHOWN]


def _model(world: World, name: str) -> Json:
    return to_json(models.find(world, name))
