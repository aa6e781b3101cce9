"""Who is refused because a quota is used up: requests a minute, and accelerators in use, per project and region.

The numbers are the user's table (`quotas`); the wordings are Google's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from reconciler.emulator import deployments, jobs
from reconciler.emulator.faults import CREATE_JOB
from reconciler.emulator.quotas import PREFIX, Quotas
from reconciler.emulator.store import DONE
from reconciler.emulator.wire.codec import Message
from reconciler.emulator.wire.errors import ApiError, Json
from reconciler.emulator.wire.names import canonical, location_of, project_of
from reconciler.emulator.world import World

_NAMES = {
    "resource_management_requests": "Resource management (CRUD) requests",
    "job_submission_requests": "Job or LRO submission requests",
    "online_prediction_requests": "Online prediction requests",
}
WINDOW_S = 60.0
SPOT = 4
_SUBMISSIONS = ("Create", "Delete", "Deploy", "Undeploy", "Upload", "Mutate", "Copy")
_FOREIGN = ("SecretManagerService", "LoggingServiceV2", "Operations")


def check_quotas(world: World, method: str, resource: str, request: Message | Json | None) -> None:
    """Count the request. Raises RESOURCE_EXHAUSTED when a quota is used up."""
    quotas = world.quotas
    if not quotas.table:
        return
    region = location_of(resource)
    _check_rate(quotas, world.clock(), method, canonical(resource), region)
    if method == CREATE_JOB and not isinstance(request, dict | None):
        wanted = _of_job(request.custom_job)
        _check_gpus(quotas, wanted, _training(world, region), region)
    elif method == "EndpointService.DeployModel" and not isinstance(request, dict | None):
        wanted = _of_deployment(request.deployed_model)
        _check_gpus(quotas, wanted, _serving(world, region), region)


def group(method: str) -> str:
    """Which request quota counts a method; empty for none."""
    service, _, word = method.partition(".")
    if service in _FOREIGN or not word:
        return ""
    if service == "PredictionService":
        return "online_prediction_requests"
    return "job_submission_requests" if word.startswith(_SUBMISSIONS) else "resource_management_requests"


def _check_rate(quotas: Quotas, now: float, method: str, resource: str, region: str) -> None:
    metric = group(method)
    limit = quotas.limit(metric, region) if metric else None
    if limit is None:
        return
    project = project_of(resource)
    times = quotas.seen.setdefault((project, region, metric), deque())
    while times and times[0] <= now - WINDOW_S:
        times.popleft()
    if len(times) >= limit:
        name = _NAMES[metric]
        raise ApiError(
            "RESOURCE_EXHAUSTED",
            f"Quota exceeded for quota metric '{name}' and limit '{name} per minute per region' of service "
            f"'aiplatform.googleapis.com' for consumer 'project_number:{project}'.",
        )
    times.append(now)


def _check_gpus(quotas: Quotas, wanted: dict[str, int], used: Iterable[dict[str, int]], region: str) -> None:
    if not any(quotas.limit(metric, region) is not None for metric in wanted):
        return
    taken: dict[str, int] = {}
    for one in used:
        for metric, count in one.items():
            taken[metric] = taken.get(metric, 0) + count
    over = [
        PREFIX + metric
        for metric, count in sorted(wanted.items())
        if (limit := quotas.limit(metric, region)) is not None and taken.get(metric, 0) + count > limit
    ]
    if over:
        raise ApiError("RESOURCE_EXHAUSTED", f"The following quota metrics exceed quota limits: {', '.join(over)}")


def _training(world: World, region: str) -> list[dict[str, int]]:
    live = [row for row in world.store.every(jobs.KIND) if row.work != DONE and location_of(row.name) == region]
    return [_of_job(jobs.read(row)) for row in live]


def _serving(world: World, region: str) -> list[dict[str, int]]:
    live = [row for row in world.store.every(deployments.KIND) if location_of(row.name) == region]
    return [_of_deployment(deployments.read(row)) for row in live]


def _of_job(job: Message) -> dict[str, int]:
    spot = "preemptible_" if job.job_spec.scheduling.strategy == SPOT else ""
    found: dict[str, int] = {}
    for pool in job.job_spec.worker_pool_specs:
        _add(found, f"training_{spot}", pool.machine_spec, pool.replica_count or 1)
    return found


def _of_deployment(one: Message) -> dict[str, int]:
    found: dict[str, int] = {}
    resources = one.dedicated_resources
    _add(found, "serving_", resources.machine_spec, max(resources.min_replica_count, 1))
    return found


def _add(found: dict[str, int], use: str, machine: Message, replicas: int) -> None:
    if machine.accelerator_type and machine.accelerator_count:
        kind = machine.DESCRIPTOR.fields_by_name["accelerator_type"].enum_type.values_by_number
        name = kind[machine.accelerator_type].name.lower()
        metric = f"custom_model_{use}{name}_gpus"
        found[metric] = found.get(metric, 0) + machine.accelerator_count * replicas
