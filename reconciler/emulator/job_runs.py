"""Makes custom jobs run: starts what waits when there is room, watches what runs, ends what is over.

One call of `advance` does what can be done now and never blocks. The job's row says everything that must outlive the
server; the runner only knows living programs.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from reconciler.emulator import fates, jobs
from reconciler.emulator.store import BUSY, DONE, HELD, WAITING, Row
from reconciler.emulator.wire.codec import Message
from reconciler.emulator.wire.errors import RPC_CODES, invalid
from reconciler.emulator.wire.names import last, location_of, project_of
from reconciler.emulator.work.containers import (
    CannotRunError,
    Words,
    buckets_in,
    container_of,
    images_of,
    launch,
    texts_of,
    words,
)
from reconciler.emulator.work.logs import tail
from reconciler.emulator.world import Launch, World, stamp

STOPPED = "The embedded Vertex AI was stopped while this job was running, and its programs were ended. Run it again."


def advance(world: World) -> bool:
    """One pass over all unfinished jobs. True when something is being ended and wants to be looked at soon."""
    soon = False
    for row in world.store.working(jobs.KIND, BUSY):
        soon |= _watch(world, row)
    room = jobs.room(world)
    for row in world.store.working(jobs.KIND, WAITING, room) if room > 0 else ():
        job = jobs.read(row)
        named = buckets_in(text for _, spec in workers(job) for text in texts_of(spec))
        asked = images_of(world.settings, (spec for _, spec in workers(job)))
        if all(world.images.known(image) for image in asked) and world.mounts.show(_mount(row), named):
            _start(world, row, job)
        soon = True
    return soon


def interrupt(world: World) -> None:
    """Mark every job that was running as failed: its programs are gone."""
    for row in world.store.working(jobs.KIND, BUSY):
        job = jobs.read(row)
        if row.extra["hold"] and job.state != jobs.CANCELLING:
            continue
        if job.state == jobs.CANCELLING:
            _end(world, row, job, jobs.CANCELLED, "CANCELLED", "The job was cancelled.")
        else:
            _end(world, row, job, jobs.FAILED, "ABORTED", STOPPED)


def finish(world: World, row: Row, state: int, message: str) -> None:
    """Let a test decide how a job ends: `SUCCEEDED`, `FAILED` or `CANCELLED`. What runs for it is ended."""
    if row.work == DONE:
        raise invalid("state", f"The job {row.name} has already ended.")
    job = jobs.read(row)
    if not job.HasField("start_time"):
        stamp(job.start_time, world.clock())
    status = "" if state == jobs.SUCCEEDED else "CANCELLED" if state == jobs.CANCELLED else "INTERNAL"
    chosen = _with_verdict(row, state, status, message)
    jobs.save(world, chosen, job, BUSY)


def log_folder(world: World, job_id: str) -> Path:
    """Where the logs of a job lie: one `<worker>.log` each."""
    return world.settings.folder / "logs" / "jobs" / job_id


def workers(job: Message) -> list[tuple[str, Message]]:
    """(`workerpool0-0`, its container spec) for each replica, the primary first."""
    return [
        (f"workerpool{number}-{replica}", spec)
        for number, pool in enumerate(job.job_spec.worker_pool_specs)
        if (spec := container_of(pool)) is not None
        for replica in range(pool.replica_count or 1)
    ]


def _start(world: World, row: Row, job: Message) -> None:
    fated = fates.at_start(row, job)
    if fated is not None:
        jobs.save(world, _with_verdict(row, *fated), job, BUSY)
        return
    stamp(job.start_time, world.clock())
    try:
        programs = [
            words(world.settings, world.images, spec.image_uri, spec.command, spec.args) for _, spec in workers(job)
        ]
        names = [worker for worker, _ in workers(job)]
        ports = dict(zip(names, _free_ports(len(names)), strict=True))
        for (worker, spec), argv in zip(workers(job), programs, strict=True):
            if isinstance(argv, str):
                raise CannotRunError(f"{spec.image_uri} maps to '{argv}', which no worker can run.")
            world.runner.start(_key(job, worker), _launch(world, job, worker, spec, argv, ports))
    except (CannotRunError, OSError) as error:
        for worker, _ in workers(job):
            if world.runner.known(_key(job, worker)):
                world.runner.stop(_key(job, worker), 0.0)
        jobs.save(world, _with_verdict(row, jobs.FAILED, "INVALID_ARGUMENT", str(error)), job, BUSY)
        return
    job.state = jobs.RUNNING
    jobs.save(world, row, job, BUSY)


def _watch(world: World, row: Row) -> bool:
    job = jobs.read(row)
    keys = [key for worker, _ in workers(job) if world.runner.known(key := _key(job, worker))]
    verdict = row.extra.get("verdict") or _verdict(world, row, job)
    if verdict is None:
        if row.extra.get("restarting") or fates.preempted(world, row, job):
            return _preempt(world, row, job, keys)
        if row.extra["hold"] and row.extra.get("fates"):
            return _play(world, row, job)
        if row.extra["hold"]:
            stamp(job.start_time, world.clock())
            job.state = jobs.RUNNING
            jobs.save(world, row, job, HELD)
        return False
    if "verdict" not in row.extra:
        row = _with_verdict(row, *verdict)
        jobs.save(world, row, job, BUSY)
    for key in keys:
        if world.runner.exit_code(key) is None:
            world.runner.stop(key, world.settings.grace_s)
    left = [key for key in keys if not world.runner.gone(key)]
    if left or not world.mounts.give_back(_mount(row)):
        return True
    for key in keys:
        world.runner.forget(key)
    state, status, message = verdict
    if status and keys and state == jobs.FAILED:
        primary = log_folder(world, last(job.name)) / "workerpool0-0.log"
        message += f"\nThe last lines of the log:\n{tail(primary)}"
    _end(world, row, job, state, status, message)
    return True


def _play(world: World, row: Row, job: Message) -> bool:
    """A held job with fates to come is looked at again and again, as one that runs is."""
    if job.state != jobs.RUNNING:
        stamp(job.start_time, world.clock())
        job.state = jobs.RUNNING
        jobs.save(world, row, job, BUSY)
    return False


def _preempt(world: World, row: Row, job: Message, keys: list[str]) -> bool:
    """Stop a SPOT job as its machine goes, with the notice that programs get, and queue it again."""
    if not row.extra.get("restarting"):
        row = fates.without_preemption(row)
        row = Row(row.kind, row.name, row.parent, row.body, {**row.extra, "restarting": True}, BUSY)
        job.state = jobs.PENDING
        jobs.save(world, row, job, BUSY)
    for key in keys:
        if world.runner.exit_code(key) is None:
            world.runner.stop(key, world.settings.grace_s)
    if not all(world.runner.gone(key) for key in keys):
        return True
    for key in keys:
        world.runner.forget(key)
    extra = {name: value for name, value in row.extra.items() if name != "restarting"}
    work = BUSY if row.extra["hold"] else WAITING
    jobs.save(world, Row(row.kind, row.name, row.parent, row.body, extra, work), job, work)
    return True


def _verdict(world: World, row: Row, job: Message) -> tuple[int, str, str] | None:
    """How this job ends, once that is known."""
    if job.state == jobs.CANCELLING:
        return jobs.CANCELLED, "CANCELLED", "The job was cancelled."
    if row.extra.get("restarting"):
        return None
    if row.extra["hold"]:
        return fates.at_start(row, job) or fates.at_work(world, row, job)
    fated = fates.at_work(world, row, job)
    if fated is not None:
        return fated
    limit = job.job_spec.scheduling.timeout.ToTimedelta().total_seconds()
    if world.clock() - job.start_time.ToMicroseconds() / 1e6 > limit:
        return jobs.FAILED, "DEADLINE_EXCEEDED", f"The job ran longer than its timeout of {limit:g} s and was ended."
    codes = {worker: world.runner.exit_code(_key(job, worker)) for worker, _ in workers(job)}
    for worker, code in codes.items():
        if code:
            how = f"exited with a non-zero status of {code}" if code > 0 else f"was ended by signal {-code}"
            log = log_folder(world, last(job.name)) / f"{worker}.log"
            return jobs.FAILED, "INVALID_ARGUMENT", f"The replica {worker} {how}. Its log is {log}."
    return (jobs.SUCCEEDED, "", "") if all(code == 0 for code in codes.values()) else None


def _with_verdict(row: Row, state: int, status: str, message: str) -> Row:
    extra = {**row.extra, "verdict": [state, status, message]}
    return Row(row.kind, row.name, row.parent, row.body, extra, BUSY)


def _end(world: World, row: Row, job: Message, state: int, status: str, message: str) -> None:
    job.state = state
    stamp(job.end_time, world.clock())
    if status:
        job.error.code = RPC_CODES[status]
        job.error.message = message
    jobs.save(world, row, job, DONE)


def _mount(row: Row) -> str:
    return f"jobs/{last(row.name)}"


def _key(job: Message, worker: str) -> str:
    return f"jobs/{last(job.name)}/{worker}"


def _launch(world: World, job: Message, worker: str, spec: Message, argv: Words, ports: Mapping[str, int]) -> Launch:
    job_id = last(job.name)
    own = {"CLOUD_ML_JOB_ID": job_id, "CLOUD_ML_PROJECT_ID": project_of(job.name), "HOSTNAME": worker}
    own |= {"CLOUD_ML_REGION": location_of(job.name)}
    output = job.job_spec.base_output_directory.output_uri_prefix.rstrip("/")
    if output:
        own |= {
            "AIP_MODEL_DIR": f"{output}/model/",
            "AIP_CHECKPOINT_DIR": f"{output}/checkpoints/",
            "AIP_TENSORBOARD_LOG_DIR": f"{output}/logs/",
        }
    if len(ports) > 1:
        own["CLUSTER_SPEC"] = _cluster(ports, worker)
    return launch(
        world.settings,
        world.mounts,
        argv,
        {variable.name: variable.value for variable in spec.env},
        own,
        folder=world.settings.folder / "jobs" / job_id / worker,
        log=log_folder(world, job_id) / f"{worker}.log",
        key=_key(job, worker),
    )


def _free_ports(count: int) -> list[int]:
    """Ports that nothing on this machine listens at now: several jobs of several workers run side by side."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _cluster(ports: Mapping[str, int], worker: str) -> str:
    pools: dict[str, list[str]] = {}
    for name, port in ports.items():
        pools.setdefault(name.rpartition("-")[0], []).append(f"127.0.0.1:{port}")
    pool, _, index = worker.rpartition("-")
    return json.dumps({"cluster": pools, "environment": "cloud", "task": {"type": pool, "index": int(index)}})
