"""The control surface under `/emulator/`: calls, faults, clock, how a job ends, what the page shows. Part of no API."""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qs

from reconciler.emulator import fates, job_runs, jobs
from reconciler.emulator.calls import Calls
from reconciler.emulator.clock import Clock, set_clock, show_clock
from reconciler.emulator.overview import job_log, overview
from reconciler.emulator.store import Row
from reconciler.emulator.wire.codec import parse_text, to_json
from reconciler.emulator.wire.errors import ApiError, Json, invalid, not_found
from reconciler.emulator.world import World

_STATES = {
    "JOB_STATE_SUCCEEDED": jobs.SUCCEEDED,
    "JOB_STATE_FAILED": jobs.FAILED,
    "JOB_STATE_CANCELLED": jobs.CANCELLED,
}


def control(world: World, clock: Clock, calls: Calls, verb: str, path: str, query: str, body: bytes) -> Json:
    """Answer one request to `/emulator/...`. Raises `ApiError`."""
    word = path.removeprefix("/emulator/")
    match (verb, word):
        case ("GET", "health"):
            return {"status": "ok", "pid": os.getpid()}
        case ("GET", "calls"):
            return calls.shown()
        case ("DELETE", "calls") | ("POST", "calls:reset"):
            calls.clear()
            return {}
        case ("GET", "faults"):
            return {"faults": [fault.shown() for fault in world.faults.orders]}
        case ("POST", "faults"):
            return fates.order_fault(world, parse_text(body)).shown()
        case ("DELETE", "faults"):
            world.faults.clear()
            return {}
        case ("GET", "clock"):
            return show_clock(clock)
        case ("POST", "clock"):
            set_clock(clock, parse_text(body))
            return show_clock(clock)
        case ("POST", "reset"):
            return {}
        case ("GET", "overview"):
            return overview(world)
    return _of_one(world, verb, word, query, body)


def _of_one(world: World, verb: str, word: str, query: str, body: bytes) -> Json:
    """What concerns one fault or one job."""
    found = re.fullmatch(r"(faults|jobs)/([a-z0-9-]+)(:finish|:preempt|/log)?", word)
    match (verb, *(found.groups() if found else ())):
        case ("DELETE", "faults", fault, None):
            if not world.faults.clear(str(fault)):
                raise not_found(f"The fault {fault}")
            return {}
        case ("POST", "jobs", job, ":finish"):
            return _finish(world, str(job), parse_text(body))
        case ("POST", "jobs", job, ":preempt"):
            row = _job(world, str(job))
            if row.kind != jobs.KIND:
                raise invalid("job", f"Custom jobs are preempted, such as the trials of a study; not {row.name}.")
            fates.lay_upon(world, row.name, ({"preempt": True},))
            return {}
        case ("GET", "jobs", job, "/log"):
            after = parse_qs(query).get("after", ["0"])[0]
            if not after.isdecimal():
                raise invalid("after", "after is the number of bytes that have been read.")
            return job_log(world, str(job), int(after))
    raise ApiError("NOT_FOUND", f"{verb} /emulator/{word} is not part of the control surface.")


def _finish(world: World, job_id: str, asked: Json) -> Json:
    """`{"state": "JOB_STATE_SUCCEEDED" | "JOB_STATE_FAILED" | "JOB_STATE_CANCELLED", "message": text}`."""
    state = asked.get("state", "JOB_STATE_SUCCEEDED")
    if state not in _STATES:
        raise invalid("state", f"A job ends as one of {', '.join(_STATES)}.")
    row, message = _job(world, job_id), str(asked.get("message", "Ended by a test."))
    if row.kind != jobs.KIND:
        fates.finish(world, row, _STATES[state], message)
        return {"name": row.name}
    job_runs.finish(world, row, _STATES[state], message)
    return to_json(jobs.read(jobs.find(world, row.name)))


def _job(world: World, job_id: str) -> Row:
    """The row of whatever runs and ends and has this id."""
    for kind in fates.KINDS.values():
        for row in world.store.every(kind):
            if row.name.endswith(f"/{job_id}"):
                return row
    raise not_found(f"The job {job_id}")
