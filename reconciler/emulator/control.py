"""The control surface under `/emulator/`: health, calls, and how a job ends. Not part of any Google API."""

from __future__ import annotations

import os
import re

from reconciler.emulator import job_runs, jobs
from reconciler.emulator.calls import Calls
from reconciler.emulator.wire.codec import parse_text, to_json
from reconciler.emulator.wire.errors import ApiError, Json, invalid, not_found
from reconciler.emulator.world import World

_STATES = {
    "JOB_STATE_SUCCEEDED": jobs.SUCCEEDED,
    "JOB_STATE_FAILED": jobs.FAILED,
    "JOB_STATE_CANCELLED": jobs.CANCELLED,
}


def control(world: World, calls: Calls, verb: str, path: str, query: str, body: bytes) -> Json:
    """Answer one request to `/emulator/...`. Raises `ApiError`."""
    if (verb, path) == ("GET", "/emulator/health"):
        return {"status": "ok", "pid": os.getpid()}
    if (verb, path) == ("GET", "/emulator/calls"):
        return calls.shown()
    if (verb, path) in (("DELETE", "/emulator/calls"), ("POST", "/emulator/calls:reset")):
        calls.clear()
        return {}
    finish = re.fullmatch(r"/emulator/jobs/(\d+):finish", path)
    if verb == "POST" and finish:
        return _finish(world, finish[1], parse_text(body))
    raise ApiError("NOT_FOUND", f"{verb} {path} is not part of the control surface.")


def _finish(world: World, job_id: str, asked: Json) -> Json:
    """`{"state": "JOB_STATE_SUCCEEDED" | "JOB_STATE_FAILED" | "JOB_STATE_CANCELLED", "message": text}`."""
    state = asked.get("state", "JOB_STATE_SUCCEEDED")
    if state not in _STATES:
        raise invalid("state", f"A job ends as one of {', '.join(_STATES)}.")
    for row in world.store.every(jobs.KIND):
        if row.name.endswith(f"/{job_id}"):
            job_runs.finish(world, row, _STATES[state], str(asked.get("message", "Ended by a test.")))
            return to_json(jobs.read(jobs.find(world, row.name)))
    raise not_found(f"The job {job_id}")
