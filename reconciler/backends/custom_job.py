"""Vertex AI custom jobs, which train and evaluate: immutable once created, named by the server, found by their labels.

What a job is to do is said in `training.py`, `merge.py` and `evaluation.py`. One that succeeded is not yet a trained
model: the run record says that, and the planner reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from reconciler.backends import labels, payloads
from reconciler.backends.failures import failure_of
from reconciler.backends.kind import Kind, Payload, existing, impossible, wanted
from reconciler.backends.refs import resolved
from reconciler.backends.rungs import on_rung, strategy_of, told
from reconciler.core.calls import Call, Scene
from reconciler.core.changes import Change
from reconciler.core.errors import LoraformError
from reconciler.core.identity import canonical
from reconciler.core.resources import Failure, Json, LiveResource, Phase
from reconciler.core.target import region_of

NAME = "custom_job"

STATES = (
    "JOB_STATE_UNSPECIFIED",
    "JOB_STATE_QUEUED",
    "JOB_STATE_PENDING",
    "JOB_STATE_RUNNING",
    "JOB_STATE_SUCCEEDED",
    "JOB_STATE_FAILED",
    "JOB_STATE_CANCELLING",
    "JOB_STATE_CANCELLED",
    "JOB_STATE_PAUSED",
    "JOB_STATE_EXPIRED",
    "JOB_STATE_UPDATING",
    "JOB_STATE_PARTIALLY_SUCCEEDED",
)
"""`google.cloud.aiplatform.v1.JobState` by number."""

PHASES: Mapping[str, Phase] = {
    "JOB_STATE_QUEUED": Phase.PENDING,
    "JOB_STATE_PENDING": Phase.PENDING,
    "JOB_STATE_RUNNING": Phase.RUNNING,
    "JOB_STATE_UPDATING": Phase.RUNNING,
    "JOB_STATE_SUCCEEDED": Phase.READY,
    "JOB_STATE_FAILED": Phase.FAILED,
    "JOB_STATE_EXPIRED": Phase.FAILED,
    "JOB_STATE_PARTIALLY_SUCCEEDED": Phase.FAILED,
    "JOB_STATE_CANCELLED": Phase.FAILED,
    "JOB_STATE_CANCELLING": Phase.DELETING,
}
"""A paused job, like any state that is not listed, is `unknown`: it is waited for, and after an hour shown."""


STRATEGIES = ("STRATEGY_UNSPECIFIED", "ON_DEMAND", "LOW_COST", "STANDARD", "SPOT", "", "FLEX_START")
"""`google.cloud.aiplatform.v1.Scheduling.Strategy` by number."""


def live(payload: Payload, fleet: str) -> tuple[LiveResource, ...]:
    """The one job in a `CustomJob` payload, when it is ours."""
    address = labels.owner(payload, fleet)
    if address is None:
        return ()
    state = payloads.enum(payload, "state", STATES)
    phase = PHASES.get(state, Phase.UNKNOWN)
    own = labels.labels_of(payload)
    spec = payloads.mapping(payload, "job_spec")
    folder = payloads.mapping(spec, "base_output_directory")
    return (
        LiveResource(
            address=address,
            kind=NAME,
            name=payloads.text(payload, "name"),
            stamp=own.get(labels.IDENTITY, ""),
            phase=phase,
            outputs={
                "job": payloads.text(payload, "name"),
                "state": state,
                "output_directory": payloads.text(folder, "output_uri_prefix"),
                "labels": own,
                "evaluates": own.get(labels.EVALUATES, ""),
                "trained_by": own.get(labels.TRAINED_BY, ""),
                **_machines(spec, phase),
                "strategy": strategy_of(spec),
                "region": region_of(payloads.text(payload, "name")),
                **_spent(payload, spec, phase),
            },
            failure=_failure(payload, state) if phase is Phase.FAILED else None,
            attempt_key=own.get(labels.ATTEMPT, ""),
            rung=int(number) if (number := own.get(labels.RUNG, "")).isdecimal() else 0,
            since=_since(payload, phase),
            created=payloads.seconds(payload, "create_time"),
            history=phase in (Phase.READY, Phase.FAILED),
            protect=own.get(labels.PROTECT) == labels.YES,
        ),
    )


def create(change: Change, scene: Scene) -> tuple[Call, ...]:
    """One CreateCustomJob. The job takes no caller's id, so nothing is tolerated: the claim guards against doubles."""
    resource = wanted(change)
    body = resolved(resource.body, scene.outputs)
    if not isinstance(body, Mapping):
        raise LoraformError(f"{resource.address}: the body of a custom job is a mapping")
    job_spec = payloads.mapping(body, "job_spec")
    rung = resource.rungs[change.rung] if resource.rungs else None
    several = len(resource.rungs) > 1
    pools = [
        with_arguments(pool, scene, partial(told, job_spec, rung if several else None))
        for pool in payloads.messages(job_spec, "worker_pool_specs")
    ]
    stamps = {**change.stamps, labels.RUNG: str(change.rung)} if several else change.stamps
    job: Json = {
        **body,
        "labels": labels.stamped(resource, scene, stamps),
        "job_spec": {**on_rung(job_spec, rung), "worker_pool_specs": pools},
    }
    parent = f"{scene.parent.rsplit('/', 1)[0]}/{rung.region}" if rung else scene.parent
    return (Call("JobService", "CreateCustomJob", {"parent": parent, "custom_job": job}),)


def cancel(change: Change, scene: Scene) -> tuple[Call, ...]:
    """CancelCustomJob; a job that has ended meanwhile, or is gone, is as good as cancelled."""
    request = {"name": existing(change).name}
    return (Call("JobService", "CancelCustomJob", request, frozenset({"NOT_FOUND", "FAILED_PRECONDITION"})),)


def delete(change: Change, scene: Scene) -> tuple[Call, ...]:
    """DeleteCustomJob; the run record and the artifact stay."""
    request = {"name": existing(change).name}
    return (Call("JobService", "DeleteCustomJob", request, frozenset({"NOT_FOUND"})),)


def _failure(payload: Payload, state: str) -> Failure:
    fallback = {
        "JOB_STATE_CANCELLED": "the job was cancelled",
        "JOB_STATE_EXPIRED": "the job ran longer than its timeout",
    }.get(state, "the job failed and the service gives no message")
    if state == "JOB_STATE_CANCELLED" and not payload.get("error"):
        return failure_of({"code": 1}, fallback)
    return failure_of(payload.get("error"), fallback)


def _since(payload: Payload, phase: Phase) -> float:
    if phase in (Phase.READY, Phase.FAILED):
        return payloads.seconds(payload, "end_time", "update_time", "create_time")
    if phase is Phase.RUNNING:
        return payloads.seconds(payload, "start_time", "create_time")
    if phase is Phase.PENDING:
        return payloads.seconds(payload, "create_time")
    return payloads.seconds(payload, "update_time", "create_time")


def _machines(spec: Payload, phase: Phase) -> dict[str, Json]:
    """What a job that runs has of machines, as far as it costs something now."""
    if phase is not Phase.RUNNING:
        return {}
    pools: list[Json] = [
        {"machine": payloads.mapping(pool, "machine_spec"), "replicas": payloads.integer(pool, "replica_count")}
        for pool in payloads.messages(spec, "worker_pool_specs")
    ]
    strategy = payloads.enum(payloads.mapping(spec, "scheduling"), "strategy", STRATEGIES)
    return {"machines": pools, "spot": strategy in ("SPOT", "FLEX_START")}


def _spent(payload: Payload, spec: Payload, phase: Phase) -> dict[str, Json]:
    """How long a job that succeeded ran, in seconds, and the accelerators that it had: what the next one may take."""
    if phase is not Phase.READY:
        return {}
    begun, ended = payloads.seconds(payload, "start_time"), payloads.seconds(payload, "end_time")
    machines = (
        (payloads.mapping(pool, "machine_spec"), payloads.integer(pool, "replica_count"))
        for pool in payloads.messages(spec, "worker_pool_specs")
    )
    taken = sum(payloads.integer(machine, "accelerator_count") * replicas for machine, replicas in machines)
    return {"run_seconds": ended - begun, "accelerators": taken} if begun and ended > begun else {}


def with_arguments(
    pool: Mapping[str, Json], scene: Scene, tell: Callable[[Mapping[str, Json]], Mapping[str, Json]]
) -> Json:
    """Write the training spec, a mapping until now, as the container's `--spec` argument, with its provenance."""
    container = payloads.mapping(pool, "container_spec")
    spec = tell(payloads.mapping(container, "args"))
    provenance = {
        **payloads.mapping(spec, "provenance"),
        "commit": scene.labels.get(labels.COMMIT, ""),
        "plan": scene.labels.get(labels.PLAN, ""),
    }
    arguments: Json = ["--spec", canonical({**spec, "provenance": provenance})]
    return {**pool, "container_spec": {**container, "args": arguments}}


KIND = Kind(NAME, live, create, impossible(NAME, "updated"), delete, cancel)
