"""What a fault has in store for a job or a deployment: a stock-out, a preemption, a failure with a chosen message.

Kept in its row under `fates`, in order, so that it outlives the server. Decides when it is due; the `*_runs` end and
restart the programs.
"""

from __future__ import annotations

from reconciler.emulator import deployments, garden, jobs
from reconciler.emulator.faults import CREATE_JOBS, DEPLOY, Fault, order
from reconciler.emulator.store import BUSY, DONE, Row
from reconciler.emulator.wire.codec import Message
from reconciler.emulator.wire.errors import ApiError, Json, invalid
from reconciler.emulator.wire.names import location_of
from reconciler.emulator.world import World

SPOT = 4
PREEMPTED = "The replica was preempted, because its Spot capacity was taken back. The job is being restarted."
Verdict = tuple[int, str, str]
"""How a job ends: its state, and the status and message of its error."""
KINDS = {
    "customJobs": jobs.KIND,
    "hyperparameterTuningJobs": "hyperparameter",
    "pipelineJobs": "pipeline",
    "trainingPipelines": "training",
    "tuningJobs": "tuning",
}
"""Collection -> kind of row, of everything that runs and ends."""


def order_fault(world: World, asked: Json) -> Fault:
    """Order a fault, as `POST /emulator/faults` does it; `faults.order` says its form and what it raises."""
    fault = order(world.faults, asked)
    if "stale_s" in fault.effect:
        world.store.remember(world.clock)
    return fault


def refused(method: str, location: str, fates: tuple[Json, ...]) -> ApiError | None:
    """The 429 of a stock-out that shows when the job is created."""
    if method in (*CREATE_JOBS, *DEPLOY) and any(fate.get("stock_out") == "create" for fate in fates):
        return ApiError("RESOURCE_EXHAUSTED", stock_out_text(location))
    return None


def lay_upon(world: World, name: str, fates: tuple[Json, ...]) -> None:
    """Give a job its fates; or, by the name of the operation that deploys it, a deployment."""
    row = _row(world, name)
    if row is not None and fates:
        extra = {**row.extra, "fates": [*row.extra.get("fates", []), *fates]}
        world.store.save(Row(row.kind, row.name, row.parent, row.body, extra, row.work))


def hand_down(world: World, owner: Row, child: str) -> None:
    """Give the custom job that works for another resource the preemptions that were ordered for its owner."""
    lay_upon(world, child, tuple(fate for fate in owner.extra.get("fates", ()) if fate.get("preempt")))


def of_owner(world: World, row: Row, job: Message) -> Verdict | None:
    """How a job that works through custom jobs ends before they do: cancelled, by a test's decision, or by a fault."""
    if job.state == jobs.CANCELLING:
        return jobs.CANCELLED, "CANCELLED", f"The {job.DESCRIPTOR.name} was cancelled."
    chosen = row.extra.get("verdict")
    if chosen:
        state, status, message = chosen
        return state, status, message
    return at_start(row, job) or at_work(world, row, job)


def finish(world: World, row: Row, state: int, message: str) -> None:
    """Let a test decide how a job that works through custom jobs ends. Raises INVALID_ARGUMENT once it has ended."""
    if row.work == DONE:
        raise invalid("state", f"The job {row.name} has already ended.")
    status = "" if state == jobs.SUCCEEDED else "CANCELLED" if state == jobs.CANCELLED else "INTERNAL"
    extra = {**row.extra, "verdict": [state, status, message if status else ""]}
    world.store.save(Row(row.kind, row.name, row.parent, row.body, extra, BUSY))


def at_deployment(world: World, row: Row) -> ApiError | None:
    """The error of a deployment that is to fail now."""
    for fate in row.extra.get("fates", ()):
        if "stock_out" in fate:
            return ApiError("RESOURCE_EXHAUSTED", stock_out_text(location_of(row.name)))
        if "fail" in fate and world.clock() >= row.extra["since"] + fate.get("after_s", 0):
            return ApiError("INTERNAL", fate["fail"] or "Internal error occurred while deploying the model.")
    return None


def at_start(row: Row, job: Message) -> Verdict | None:
    """The end of a job that finds no machine."""
    if any("stock_out" in fate for fate in row.extra.get("fates", ())):
        return jobs.FAILED, "RESOURCE_EXHAUSTED", stock_out_text(location_of(job.name))
    return None


def at_work(world: World, row: Row, job: Message) -> Verdict | None:
    """The end of a running job that is to fail now."""
    for fate in row.extra.get("fates", ()):
        if "fail" in fate and _due(world, job, fate):
            return jobs.FAILED, "INTERNAL", fate["fail"] or "Internal error occurred for the current attempt."
    return None


def preempted(world: World, row: Row, job: Message) -> bool:
    """Whether a running SPOT job loses its machine now."""
    if job.job_spec.scheduling.strategy != SPOT or job.state != jobs.RUNNING:
        return False
    return any(fate.get("preempt") and _due(world, job, fate) for fate in row.extra.get("fates", ()))


def without_preemption(row: Row) -> Row:
    """The row with its next preemption behind it."""
    fates = list(row.extra.get("fates", ()))
    done = next((fate for fate in fates if fate.get("preempt")), None)
    if done is not None:
        fates.remove(done)
    extra = {**row.extra, "fates": fates, "preemptions": row.extra.get("preemptions", 0) + 1}
    return Row(row.kind, row.name, row.parent, row.body, extra, row.work)


def stock_out_text(location: str) -> str:
    """What the service says when it has no machine of the kind."""
    return (
        f"Resources are insufficient in region: {location}. Please try a different region or use a different "
        "accelerator."
    )


def _due(world: World, job: Message, fate: Json) -> bool:
    if not job.HasField("start_time"):
        return False
    due: bool = world.clock() >= job.start_time.ToMicroseconds() / 1e6 + fate.get("after_s", 0)
    return due


def _row(world: World, name: str) -> Row | None:
    collection = name.split("/")[-2] if "/" in name else ""
    if collection != "operations":
        return world.store.get(KINDS.get(collection, jobs.KIND), name)
    made = world.store.get(garden.KIND, name)
    deploying = made.extra["waits_for"] if made is not None else name
    found = (row for row in world.store.every(deployments.KIND) if row.extra["operation"] == deploying)
    return next(found, None)
