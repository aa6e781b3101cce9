"""What a fault has in store for a job: a stock-out, a preemption, a failure with a chosen message.

Kept in the job's row under `fates`, in order, so that it outlives the server. Decides when it is due; `job_runs` ends
and restarts the programs.
"""

from __future__ import annotations

from reconciler.emulator import jobs
from reconciler.emulator.faults import CREATE_JOB, Fault, order
from reconciler.emulator.store import Row
from reconciler.emulator.wire.codec import Message
from reconciler.emulator.wire.errors import ApiError, Json
from reconciler.emulator.wire.names import location_of
from reconciler.emulator.world import World

SPOT = 4
PREEMPTED = "The replica was preempted, because its Spot capacity was taken back. The job is being restarted."
Verdict = tuple[int, str, str]


def order_fault(world: World, asked: Json) -> Fault:
    """Order a fault, as `POST /emulator/faults` does it; `faults.order` says its form and what it raises."""
    fault = order(world.faults, asked)
    if "stale_s" in fault.effect:
        world.store.remember(world.clock)
    return fault


def refused(method: str, location: str, fates: tuple[Json, ...]) -> ApiError | None:
    """The 429 of a stock-out that shows when the job is created."""
    if method == CREATE_JOB and any(fate.get("stock_out") == "create" for fate in fates):
        return ApiError("RESOURCE_EXHAUSTED", stock_out_text(location))
    return None


def lay_upon(world: World, job: str, fates: tuple[Json, ...]) -> None:
    """Give a job its fates."""
    row = world.store.get(jobs.KIND, job)
    if row is not None and fates:
        extra = {**row.extra, "fates": [*row.extra.get("fates", []), *fates]}
        world.store.save(Row(row.kind, row.name, row.parent, row.body, extra, row.work))


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
