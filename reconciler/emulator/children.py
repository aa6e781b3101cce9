"""Custom jobs that belong to another resource: a trial, a pipeline's task, a tuning run.

They wait, run, log and end as every custom job does; their owner reads and cancels them through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from reconciler.emulator import job_runs, jobs
from reconciler.emulator.store import BUSY, DONE
from reconciler.emulator.wire.codec import Message, new
from reconciler.emulator.wire.names import last
from reconciler.emulator.world import World


def container(
    image: str,
    command: Iterable[str],
    args: Iterable[str],
    env: Mapping[str, str],
    labels: Mapping[str, str],
    name: str,
) -> Message:
    """A CustomJob of one container on one machine."""
    job = new("CustomJob", display_name=name[:128], labels=dict(labels))
    spec = job.job_spec.worker_pool_specs.add().container_spec
    spec.image_uri = image
    spec.command.extend(command)
    spec.args.extend(args)
    for key, value in env.items():
        spec.env.add(name=key, value=value)
    return job


def begin(world: World, job: Message, parent: str, owner: str = "") -> str:
    """Queue a job for its owner; gives its name. One without an owner is listed with all others."""
    name: str = jobs.queue(world, job, parent, owner).name
    return name


def look(world: World, name: str) -> Message:
    """The job as it is now."""
    return jobs.read(jobs.find(world, name))


def ended(job: Message) -> bool:
    """Whether it is over."""
    return job.state in jobs.ENDED


def cancel(world: World, names: Sequence[str]) -> bool:
    """Ask jobs to end; True once all have."""
    over = True
    for name in names:
        row = world.store.get(jobs.KIND, name)
        if row is None or row.work == DONE:
            continue
        over = False
        job = jobs.read(row)
        if job.state != jobs.CANCELLING:
            job.state = jobs.CANCELLING
            jobs.save(world, row, job, BUSY)
    return over


def log_of(world: World, name: str) -> Path:
    """The log of a job's first worker."""
    return job_runs.log_folder(world, last(name)) / "workerpool0-0.log"
