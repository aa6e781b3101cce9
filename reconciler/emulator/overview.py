"""What the web page shows: jobs, models and endpoints of all projects in one answer, and the log of a job in pieces."""

from __future__ import annotations

from pathlib import Path

from reconciler.emulator import deployments, endpoints, job_runs, jobs, models
from reconciler.emulator.store import Row
from reconciler.emulator.wire.codec import message_class, to_json
from reconciler.emulator.wire.errors import Json, not_found
from reconciler.emulator.wire.names import last
from reconciler.emulator.world import World

SHOWN = 200
PIECE = 1 << 20


def overview(world: World) -> Json:
    """`{"jobs", "models", "endpoints", "deployments"}`, the newest first and at most 200 of each."""
    return {
        "jobs": [to_json(jobs.read(row)) for row in _newest(world, jobs.KIND)],
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
    """`{"text", "next", "workers"}`: the log of the first replica from byte `after` on, a mebibyte at most."""
    folder = job_runs.log_folder(world, job_id)
    if not any(row.name.endswith(f"/{job_id}") for row in world.store.every(jobs.KIND)):
        raise not_found(f"The job {job_id}")
    raw = _piece(folder / "workerpool0-0.log", max(0, after))
    whole = raw if len(raw) < PIECE else raw[: raw.rfind(b"\n") + 1] or raw
    cut = whole[: whole.rfind(b"\n") + 1] or (whole if len(raw) == PIECE else b"")
    return {"text": cut.decode("utf-8", errors="replace"), "next": max(0, after) + len(cut)}


def _piece(log: Path, after: int) -> bytes:
    try:
        with log.open("rb") as stream:
            stream.seek(after)
            return stream.read(PIECE)
    except OSError:
        return b""


def _newest(world: World, kind: str) -> list[Row]:
    return world.store.every(kind)[::-1][:SHOWN]


def _model(world: World, name: str) -> Json:
    return to_json(models.find(world, name))
