"""What a pipeline job tells of its tasks and of its end, and the states that both kinds of run set.

Decides nothing about when a task begins or is over.
"""

from __future__ import annotations

from google.protobuf import json_format

from reconciler.emulator import pipeline_jobs
from reconciler.emulator.pipeline_spec import declared, fill
from reconciler.emulator.wire.codec import Message
from reconciler.emulator.wire.errors import RPC_CODES, Json
from reconciler.emulator.wire.names import last
from reconciler.emulator.world import World, stamp

PENDING, RUNNING, SUCCEEDED, CANCELLED, FAILED, SKIPPED, NOT_TRIGGERED = 1, 2, 3, 6, 7, 8, 9
OVER = (SUCCEEDED, CANCELLED, FAILED, SKIPPED, NOT_TRIGGERED)


def end(world: World, job: Message, failure: str) -> None:
    """End a job, well unless something is said of its failure."""
    job.state = pipeline_jobs.FAILED if failure else pipeline_jobs.SUCCEEDED
    stamp(job.end_time, world.clock())
    if failure:
        job.error.code, job.error.message = RPC_CODES["FAILED_PRECONDITION"], failure


def values_of(job: Message) -> Json:
    """The parameters of a job with their defaults."""
    given = {name: json_format.MessageToDict(v) for name, v in job.runtime_config.parameter_values.items()}
    return fill(declared(pipeline_jobs.spec_of(job)), given)


def tell_tasks(job: Message, reached: dict[str, Json]) -> None:
    """Tell of all tasks, and of the run as a whole, as the service does."""
    del job.job_detail.task_details[:]
    root = job.job_detail.task_details.add(task_name=last(job.name), task_id=1)
    root.state = {
        pipeline_jobs.SUCCEEDED: SUCCEEDED,
        pipeline_jobs.FAILED: FAILED,
        pipeline_jobs.CANCELLED: CANCELLED,
    }.get(job.state, RUNNING)
    root.create_time.CopyFrom(job.create_time)
    root.start_time.CopyFrom(job.start_time if job.HasField("start_time") else job.create_time)
    if job.HasField("end_time"):
        root.end_time.CopyFrom(job.end_time)
    for name, own in reached.items():
        one = job.job_detail.task_details.add(task_name=name, task_id=int(own["id"]), parent_task_id=1)
        one.state = own["state"]
        stamp(one.create_time, own["created"])
        if own.get("started"):
            stamp(one.start_time, own["started"])
        if "ended" in own:
            stamp(one.end_time, own["ended"])
        if "job" in own:
            one.executor_detail.container_detail.main_job = own["job"]
        if own.get("error"):
            one.error.code, one.error.message = RPC_CODES["FAILED_PRECONDITION"], own["error"]
        told = {f"input:{key}": value for key, value in own.get("inputs", {}).items()}
        told |= {f"output:{key}": value for key, value in own.get("parameters", {}).items()}
        if told:
            one.execution.metadata.update(told)
        if own["state"] == SUCCEEDED:
            for key, artifact in own.get("artifacts", {}).items():
                one.outputs[key].artifacts.add(display_name=key, uri=artifact["uri"])
