"""JobService, custom jobs: create, get, list, cancel, delete. What makes them run is `job_runs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reconciler.emulator.job_rooms import Room
from reconciler.emulator.listing import Shown, time_of
from reconciler.emulator.settings import HOLD
from reconciler.emulator.store import BUSY, WAITING, Row
from reconciler.emulator.wire.checks import check_display_name, check_labels, required
from reconciler.emulator.wire.codec import Message, enum_name
from reconciler.emulator.wire.errors import invalid
from reconciler.emulator.wire.names import canonical, new_id
from reconciler.emulator.work.containers import container_of
from reconciler.emulator.world import Method, World, stamp

KIND = "job"
QUEUED, PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLING, CANCELLED = range(1, 8)
ENDED = (SUCCEEDED, FAILED, CANCELLED)
STANDARD = 3
DEFAULT_TIMEOUT_S = 7 * 24 * 3600
_VIEW: Mapping[str, Callable[[Message], Any]] = {
    "name": lambda job: job.name,
    "displayName": lambda job: job.display_name,
    "state": lambda job: enum_name(job, "state"),
    "labels": lambda job: dict(job.labels),
    "createTime": time_of("create_time"),
    "updateTime": time_of("update_time"),
    "startTime": time_of("start_time"),
    "endTime": time_of("end_time"),
}
"""What a filter may ask for."""
ROOM = Room(KIND, "CustomJob", "custom_jobs", view=lambda job: Shown(job, _VIEW))
read, save, find = ROOM.read, ROOM.save, ROOM.find


def room(world: World) -> int:
    """How many more jobs may run now. Held ones take no room."""
    running = [row for row in world.store.working(KIND, BUSY) if not row.extra["hold"]]
    return world.settings.jobs_at_once - len(running)


def create(world: World, request: Message) -> Message:
    """CreateCustomJob: the job waits until there is room for it."""
    return queue(world, request.custom_job, canonical(request.parent))


def queue(world: World, job: Message, parent: str, owner: str = "") -> Message:
    """Take a custom job in. One that belongs to another resource, its `owner`, is read by name and listed nowhere."""
    check(job)
    job.name = f"{parent}/customJobs/{new_id()}"
    for field in ("start_time", "end_time", "error", "web_access_uris", "satisfies_pzs", "satisfies_pzi"):
        job.ClearField(field)
    for pool in job.job_spec.worker_pool_specs:
        pool.replica_count = pool.replica_count or 1
    scheduling = job.job_spec.scheduling
    if not scheduling.HasField("timeout"):
        scheduling.timeout.seconds = DEFAULT_TIMEOUT_S
    scheduling.strategy = scheduling.strategy or STANDARD
    primary = container_of(job.job_spec.worker_pool_specs[0])
    held = primary is not None and world.settings.program(primary.image_uri) == HOLD
    job.state = PENDING if held or (room(world) > 0 and not world.store.working(KIND, WAITING, 1)) else QUEUED
    stamp(job.create_time, world.clock())
    job.update_time.CopyFrom(job.create_time)
    work = BUSY if held else WAITING
    world.store.add(Row(KIND, job.name, owner or parent, job.SerializeToString(), {"hold": held}, work))
    return job


METHODS: Mapping[str, Method] = {"JobService.CreateCustomJob": create, **ROOM.methods("JobService")}


def check(job: Message) -> None:
    """Raises INVALID_ARGUMENT for a job that could never run."""
    check_display_name(job.display_name, "custom_job.display_name")
    check_labels(job.labels, "custom_job.labels")
    pools = job.job_spec.worker_pool_specs
    if not pools:
        raise required("custom_job.job_spec.worker_pool_specs")
    output = job.job_spec.base_output_directory.output_uri_prefix
    if output and not output.startswith("gs://"):
        raise invalid(
            "custom_job.job_spec.base_output_directory.output_uri_prefix",
            f"Invalid Google Cloud Storage URI {output}: it must start with gs://.",
        )
    for number, pool in enumerate(pools):
        place = f"custom_job.job_spec.worker_pool_specs[{number}]"
        if pool.replica_count < 0:
            raise invalid(f"{place}.replica_count", "The replica count must not be negative.")
        if pool.WhichOneof("task") is None:
            if number > 0 and pool == type(pool)():
                continue  # an empty pool only keeps the place of the next
            raise required(f"{place}.container_spec or python_package_spec")
        if pool.HasField("python_package_spec"):
            _check_package(pool.python_package_spec, f"{place}.python_package_spec")
        elif not pool.container_spec.image_uri:
            raise required(f"{place}.container_spec.image_uri")


def _check_package(package: Message, place: str) -> None:
    for field in ("executor_image_uri", "package_uris", "python_module"):
        if not getattr(package, field):
            raise required(f"{place}.{field}")
    for uri in package.package_uris:
        if not uri.startswith("gs://"):
            raise invalid(f"{place}.package_uris", f"Invalid Google Cloud Storage URI {uri}: it must start with gs://.")
