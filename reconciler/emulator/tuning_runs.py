"""Makes tuning jobs run: one custom job of the tuning program each; then the model is registered, and served if due.

One call of `advance` does what can be done now and never blocks. `own` in a row's `extra` says how far a job is:
`job`, then `model` and `endpoint`, and the `operation` that deploys it.
"""

from __future__ import annotations

import json

from reconciler.emulator import children, fates, jobs, operations, tuning_jobs, tuning_plan
from reconciler.emulator.store import BUSY, DONE, Row
from reconciler.emulator.tuning_plan import Tuning
from reconciler.emulator.wire.codec import Message, new
from reconciler.emulator.wire.errors import RPC_CODES, ApiError, Json
from reconciler.emulator.wire.names import parent_of
from reconciler.emulator.work.containers import CannotRunError
from reconciler.emulator.world import World, stamp


def advance(world: World) -> bool:
    """One pass over all unfinished tuning jobs. True when something has changed."""
    soon = False
    for row in world.store.working(tuning_jobs.KIND, BUSY):
        job = tuning_jobs.read(row)
        verdict = fates.of_owner(world, row, job)
        soon |= _step(world, row, job) if verdict is None else _close(world, row, job, verdict)
    return soon


def _step(world: World, row: Row, job: Message) -> bool:
    try:
        return _advanced(world, row, job)
    except ApiError as error:  # what it needs has been taken away
        job.state = tuning_jobs.FAILED
        job.error.code, job.error.message = error.rpc_code, error.message
        stamp(job.end_time, world.clock())
        tuning_jobs.save(world, row, job, row.extra, DONE)
        return True


def _advanced(world: World, row: Row, job: Message) -> bool:
    own: Json = dict(row.extra["own"])
    tuning = Tuning(**row.extra["tuning"])
    parent = parent_of(row.name)
    before = job.state
    failure, over = "", False
    if own.get("trained") and "model" not in own:
        own["model"] = tuning_plan.register(world, parent, tuning, job.labels)
    elif "job" not in own and "model" not in own:
        try:
            own["job"] = children.begin(world, tuning_plan.job(world, tuning, row.name), parent, row.name)
        except (CannotRunError, ApiError) as error:
            failure = str(error)
    elif "operation" in own:
        operation = operations.get(world, new("google.longrunning.GetOperationRequest", name=own["operation"]))
        over, failure = operation.done, operation.error.message
    elif "model" in own and not row.extra["serve"]:
        over = True
    elif "model" in own:
        endpoint, operation_name = tuning_plan.serve(world, parent, tuning, own["model"], job.labels)
        own |= {"endpoint": endpoint, **({"operation": operation_name} if operation_name else {})}
        over = not operation_name
    else:
        child = children.look(world, own["job"])
        if child.state in (jobs.RUNNING, jobs.SUCCEEDED) and job.state != tuning_jobs.RUNNING:
            job.state = tuning_jobs.RUNNING
            job.start_time.CopyFrom(child.start_time)
        elif child.state == jobs.SUCCEEDED:
            own["trained"] = True
        elif children.ended(child):
            failure = child.error.message
    if own == row.extra["own"] and job.state == before and not failure and not over:
        return False
    if failure:
        job.state = tuning_jobs.FAILED
        job.error.code, job.error.message = RPC_CODES["FAILED_PRECONDITION"], failure
    elif over:
        job.state = tuning_jobs.SUCCEEDED
        _tell(world, job, tuning, own)
    if failure or over:
        stamp(job.end_time, world.clock())
    tuning_jobs.save(world, row, job, {**row.extra, "own": own}, DONE if failure or over else BUSY)
    return True


def _tell(world: World, job: Message, tuning: Tuning, own: Json) -> None:
    job.tuned_model.model = own["model"]
    job.tuned_model.endpoint = own.get("endpoint", "")
    last = job.tuned_model.checkpoints.add(
        checkpoint_id="1", epoch=tuning.epochs, step=_steps(world, own.get("job", ""))
    )
    last.endpoint = own.get("endpoint", "")


def _steps(world: World, child: str) -> int:
    """How many steps the trainer has said that it took."""
    steps = 0
    try:
        with children.log_of(world, child).open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("LORAFORM ") and '"event": "step"' in line:
                    steps = int(json.loads(line.removeprefix("LORAFORM ")).get("step", steps))
    except (OSError, ValueError, AttributeError, TypeError):
        pass
    return steps


def _close(world: World, row: Row, job: Message, verdict: fates.Verdict) -> bool:
    """End the job as somebody else decided it, once its trainer is gone. A success goes on as if it had trained."""
    own = row.extra["own"]
    if not children.cancel(world, [own["job"]] if "job" in own else []):
        return True
    job.state, status, message = verdict
    extra = {name: value for name, value in row.extra.items() if name != "verdict"}
    if job.state == tuning_jobs.SUCCEEDED:
        if not job.HasField("start_time"):
            stamp(job.start_time, world.clock())
        job.state = tuning_jobs.RUNNING
        tuning_jobs.save(world, row, job, {**extra, "own": {**own, "trained": True}}, BUSY)
        return True
    job.error.code, job.error.message = RPC_CODES[status], message
    stamp(job.end_time, world.clock())
    tuning_jobs.save(world, row, job, extra, DONE)
    return True
