"""Training as a Vertex AI custom job: immutable once created, named by the server, found again by its labels.

A succeeded job is not yet a trained model: the run record says that, and the planner reads it.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.backends import labels, payloads
from reconciler.backends.failures import failure_of
from reconciler.backends.kind import Kind, Payload, existing, impossible, wanted
from reconciler.backends.refs import resolved
from reconciler.core.calls import Call, Scene
from reconciler.core.changes import Change
from reconciler.core.errors import LoraformError
from reconciler.core.identity import canonical
from reconciler.core.resources import Failure, Json, LiveResource, Phase

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
            },
            failure=_failure(payload, state) if phase is Phase.FAILED else None,
            attempt_key=own.get(labels.ATTEMPT, ""),
            since=_since(payload, phase),
            created=payloads.seconds(payload, "create_time"),
        ),
    )


def create(change: Change, scene: Scene) -> tuple[Call, ...]:
    """One CreateCustomJob. The job takes no caller's id, so nothing is tolerated: the claim guards against doubles."""
    resource = wanted(change)
    body = resolved(resource.body, scene.outputs)
    if not isinstance(body, Mapping):
        raise LoraformError(f"{resource.address}: the body of a custom job is a mapping")
    job_spec = payloads.mapping(body, "job_spec")
    pools = [_with_arguments(pool, scene) for pool in payloads.messages(job_spec, "worker_pool_specs")]
    job: Json = {
        **body,
        "labels": labels.stamped(resource, scene, change.stamps),
        "job_spec": {**job_spec, "worker_pool_specs": pools},
    }
    return (Call("JobService", "CreateCustomJob", {"parent": scene.parent, "custom_job": job}),)


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


def _with_arguments(pool: Mapping[str, Json], scene: Scene) -> Json:
    """Write the training spec, a mapping until now, as the container's `--spec` argument, with its provenance."""
    container = payloads.mapping(pool, "container_spec")
    spec = payloads.mapping(container, "args")
    provenance = {
        **payloads.mapping(spec, "provenance"),
        "commit": scene.labels.get(labels.COMMIT, ""),
        "plan": scene.labels.get(labels.PLAN, ""),
    }
    arguments: Json = ["--spec", canonical({**spec, "provenance": provenance})]
    return {**pool, "container_spec": {**container, "args": arguments}}


KIND = Kind(NAME, live, create, impossible(NAME, "updated"), delete, cancel)
