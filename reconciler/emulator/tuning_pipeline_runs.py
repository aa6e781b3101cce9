"""Makes Google's tuning pipelines run: one custom job of the tuning program, then the model is registered and served.

One call does what can be done now and never blocks. What has been reached stands in the one task of the row's `extra`:
`job`, `trained`, `parameters` once there is a model, and the `operation` that serves it.
"""

from __future__ import annotations

import json

from reconciler.emulator import children, jobs, operations, pipeline_jobs, tuning_plan, tuning_template
from reconciler.emulator.pipeline_detail import FAILED, PENDING, RUNNING, SUCCEEDED, end, tell_tasks, values_of
from reconciler.emulator.store import BUSY, DONE, Row
from reconciler.emulator.wire.codec import Message, new
from reconciler.emulator.wire.errors import ApiError, Json
from reconciler.emulator.wire.names import last, new_id, parent_of
from reconciler.emulator.work.containers import CannotRunError
from reconciler.emulator.world import World, stamp

TUNE = "large-language-model-tuner"


def tune(world: World, row: Row, job: Message) -> bool:
    """Let a tuning pipeline go on. True when something has changed."""
    parent = parent_of(job.name)
    own: Json = dict(row.extra["tasks"].get(TUNE, {}))
    before, failure, over = json.dumps(own), "", False
    if not own:
        own = _begun(world, job)
        try:
            own["job"] = children.begin(world, tuning_plan.job(world, _tuning(job), job.name), parent, job.name)
        except (CannotRunError, ApiError) as error:
            failure = str(error)
    elif "operation" in own:
        operation = operations.get(world, new("google.longrunning.GetOperationRequest", name=own["operation"]))
        over, failure = operation.done, operation.error.message
    elif own.get("trained"):
        over = _register(world, job, own)
    else:
        child = children.look(world, own["job"])
        if child.state == jobs.RUNNING:
            own |= {"state": RUNNING, "started": child.start_time.ToMicroseconds() / 1e6}
        elif child.state == jobs.SUCCEEDED:
            own["trained"] = True
        elif children.ended(child):
            failure = child.error.message
    if failure:
        own |= {"state": FAILED, "error": failure}
    elif over:
        own["state"] = SUCCEEDED
    if json.dumps(own) == before:
        return False
    if failure or over:
        own["ended"] = world.clock()
        end(world, job, failure and f"The task {TUNE} has failed: {failure}")
    _save(world, row, job, row.extra, own, DONE if failure or over else BUSY)
    return True


def finish(world: World, row: Row, job: Message) -> bool:
    """Somebody has decided that the pipeline succeeds: once its trainer is gone it goes on as if that had trained."""
    own: Json = dict(row.extra["tasks"].get(TUNE, {})) or _begun(world, job)
    if children.cancel(world, [own["job"]] if "job" in own else []):
        extra = {name: value for name, value in row.extra.items() if name != "verdict"}
        _save(world, row, job, extra, {**own, "state": RUNNING, "trained": True}, BUSY)
    return True


def _begun(world: World, job: Message) -> Json:
    stamp(job.start_time, world.clock())
    job.state = pipeline_jobs.RUNNING
    return {"id": new_id()[:18], "state": PENDING, "created": world.clock()}


def _register(world: World, job: Message, own: Json) -> bool:
    """Register the model, and begin to serve it; True when nothing serves."""
    parent, tuning = parent_of(job.name), _tuning(job)
    target = f"{parent.rpartition('/')[0]}/{values_of(job)['location'] or parent.rpartition('/')[2]}"
    labels = {"google-vertex-llm-tuning-job-id": last(job.name)[:63]}
    model = tuning_plan.register(world, target, tuning, labels)
    endpoint, operation = tuning_plan.serve(world, target, tuning, model, labels)
    own["parameters"] = {"model_resource_name": model, "endpoint_resource_name": endpoint}
    if operation:
        own["operation"] = operation
    return not operation


def _tuning(job: Message) -> tuning_plan.Tuning:
    return tuning_template.tuning(values_of(job), f"{job.runtime_config.gcs_output_directory}/{last(job.name)}")


def _save(world: World, row: Row, job: Message, extra: Json, own: Json, work: int) -> None:
    reached = {TUNE: own}
    tell_tasks(job, reached)
    pipeline_jobs.save(world, row, job, {**extra, "tasks": reached}, work)
