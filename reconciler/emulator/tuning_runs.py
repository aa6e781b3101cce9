"""Makes tuning jobs run: one custom job of the tuning program each; then the model is registered, and served if due.

One call of `advance` does what can be done now and never blocks. `own` in a row's `extra` says how far a job is: `job`,
`trained`, `model` with the checkpoints `kept` as [epoch, step], then one endpoint after the other in `endpoints`, and
the `operation` that deploys the last of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress

from google.protobuf import json_format

from reconciler.emulator import children, fates, jobs, operations, tuning_jobs, tuning_plan
from reconciler.emulator.steps import each
from reconciler.emulator.store import BUSY, DONE, Row
from reconciler.emulator.tuning_plan import Tuning
from reconciler.emulator.wire.codec import Message, new
from reconciler.emulator.wire.errors import RPC_CODES, ApiError, Json
from reconciler.emulator.wire.names import last, parent_of
from reconciler.emulator.work.containers import CannotRunError
from reconciler.emulator.world import World, stamp


def advance(world: World) -> bool:
    """One pass over all unfinished tuning jobs. True when something has changed."""
    return each(world, tuning_jobs.KIND, _step)


def _step(world: World, row: Row) -> bool:
    job = tuning_jobs.read(row)
    verdict = fates.of_owner(world, row, job)
    if verdict is not None:
        return _close(world, row, job, verdict)
    try:
        with world.store.together():
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
    before = job.state
    failure, over = "", False
    if "model" in own:
        failure, over = _served(world, row, job, tuning, own)
    elif own.get("trained"):
        _learn(world, job, tuning, own)
        own["model"] = tuning_plan.register(world, parent_of(row.name), tuning, job.labels, own["kept"])
    elif "job" not in own:
        try:
            own["job"] = children.begin(world, tuning_plan.job(world, tuning, row.name), parent_of(row.name), row.name)
        except (CannotRunError, ApiError) as error:
            failure = str(error)
    else:
        child = children.look(world, own["job"])
        if child.state in (jobs.RUNNING, jobs.SUCCEEDED) and job.state != tuning_jobs.RUNNING:
            job.state = tuning_jobs.RUNNING
            job.start_time.CopyFrom(child.start_time)
            job.experiment = f"{parent_of(row.name)}/metadataStores/default/contexts/tuning-experiment-{last(row.name)}"
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
        _tell(job, own)
    if failure or over:
        stamp(job.end_time, world.clock())
    tuning_jobs.save(world, row, job, {**row.extra, "own": own}, DONE if failure or over else BUSY)
    return True


def _served(world: World, row: Row, job: Message, tuning: Tuning, own: Json) -> tuple[str, bool]:
    """Serve the checkpoints one after the other, the model itself last; (what went wrong, whether it is over)."""
    if not row.extra["serve"]:
        return "", True
    operation_name = own.pop("operation", "")
    if operation_name:
        operation = operations.get(world, new("google.longrunning.GetOperationRequest", name=operation_name))
        if not operation.done:
            own["operation"] = operation_name
            return "", False
        if operation.error.message:
            return operation.error.message, False
    number = len(own.get("endpoints", ())) + 1
    if number > len(own["kept"]):
        return "", True
    checkpoint = str(number) if number < len(own["kept"]) else ""
    endpoint, begun = tuning_plan.serve(world, parent_of(row.name), tuning, own["model"], job.labels, checkpoint)
    own["endpoints"] = [*own.get("endpoints", ()), endpoint]
    if begun:
        own["operation"] = begun
    return "", False


def _learn(world: World, job: Message, tuning: Tuning, own: Json) -> None:
    """Read what the program has told: its checkpoints, and what it found in the data."""
    steps, kept = 0, []
    for event in _events(world, own.get("job", "")):
        with suppress(KeyError, TypeError, ValueError, json_format.ParseError):  # a program may say what it likes
            steps = max(steps, int(event.get("step", 0)))
            if event["event"] == "checkpoint":
                kept.append([int(event["epoch"]), int(event["step"])])
            elif event["event"] == "statistics":
                _show(job, event["data"])
    own["kept"] = [*kept, [tuning.epochs, steps]]
    for part in (job.tuning_data_stats.supervised_tuning_data_stats, _distilled(job)):
        if part.tuning_dataset_example_count:
            part.tuning_step_count = steps


def _show(job: Message, found: Json) -> None:
    supervised = job.WhichOneof("tuning_spec") == "supervised_tuning_spec"
    target = job.tuning_data_stats.supervised_tuning_data_stats if supervised else _distilled(job)
    json_format.ParseDict(found, target, ignore_unknown_fields=True)


def _distilled(job: Message) -> Message:
    return job.tuning_data_stats.distillation_data_stats.training_dataset_stats


def _tell(job: Message, own: Json) -> None:
    endpoints = own.get("endpoints", [])
    job.tuned_model.model = own["model"]
    job.tuned_model.endpoint = endpoints[-1] if endpoints else ""
    for number, (epoch, step) in enumerate(own["kept"], 1):
        one = job.tuned_model.checkpoints.add(checkpoint_id=str(number), epoch=epoch, step=step)
        one.endpoint = endpoints[number - 1] if endpoints else ""


def _events(world: World, child: str) -> Iterator[Json]:
    """What a trainer has told on its output; a line that is none of its own is passed over."""
    if not child:
        return
    try:
        with children.log_of(world, child).open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("LORAFORM {"):
                    found = json.loads(line.removeprefix("LORAFORM "))
                    if isinstance(found, dict) and "event" in found:
                        yield found
    except (OSError, ValueError):
        return


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
