"""JobService, hyperparameter tuning jobs: create, get, list, cancel, delete. What runs them: `hyperparameter_runs`."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.emulator import children, jobs, operations, study
from reconciler.emulator.listing import page
from reconciler.emulator.store import BUSY, DONE, Row
from reconciler.emulator.wire.checks import check_display_name, check_labels
from reconciler.emulator.wire.codec import Message, message_class, new, to_json
from reconciler.emulator.wire.errors import Json, invalid, not_found, precondition
from reconciler.emulator.wire.names import canonical, new_id
from reconciler.emulator.world import Method, World, stamp

KIND = "hyperparameter"
_FIELDS = {"display_name", "state", "create_time", "update_time", "start_time", "end_time", "labels", "name"}
_OUTPUTS = ("trials", "state", "create_time", "start_time", "end_time", "update_time", "error", "satisfies_pzs",
            "satisfies_pzi")  # fmt: skip
_PLACE = "hyperparameter_tuning_job"


def read(row: Row) -> Message:
    """The HyperparameterTuningJob in a row."""
    return message_class("HyperparameterTuningJob").FromString(row.body)


def save(world: World, row: Row, job: Message, work: int) -> None:
    """Store a job with its update time set."""
    stamp(job.update_time, world.clock())
    world.store.save(Row(KIND, row.name, row.parent, job.SerializeToString(), row.extra, work))


def create(world: World, request: Message) -> Message:
    """CreateHyperparameterTuningJob."""
    job, parent = request.hyperparameter_tuning_job, canonical(request.parent)
    check_display_name(job.display_name, f"{_PLACE}.display_name")
    check_labels(job.labels, f"{_PLACE}.labels")
    study.check(job.study_spec, f"{_PLACE}.study_spec")
    for field in ("max_trial_count", "parallel_trial_count"):
        if getattr(job, field) < 1:
            raise invalid(f"{_PLACE}.{field}", f"{field} must be at least 1.")
    if job.max_failed_trial_count < 0:
        raise invalid(f"{_PLACE}.max_failed_trial_count", "max_failed_trial_count must not be negative.")
    jobs.check(new("CustomJob", display_name="a trial", job_spec=job.trial_job_spec))
    for field in _OUTPUTS:
        job.ClearField(field)
    job.name = f"{parent}/hyperparameterTuningJobs/{new_id()}"
    job.state = jobs.PENDING
    stamp(job.create_time, world.clock())
    job.update_time.CopyFrom(job.create_time)
    world.store.add(Row(KIND, job.name, parent, job.SerializeToString(), {}, BUSY))
    return job


def get(world: World, request: Message) -> Message:
    """GetHyperparameterTuningJob; the trials of an ended job are ordered, the best first."""
    return read(find(world, request.name))


def find(world: World, name: str) -> Row:
    """The row of a job by its full name. Raises NOT_FOUND."""
    row = world.store.get(KIND, canonical(name))
    if row is None:
        raise not_found(f"The HyperparameterTuningJob {name}")
    return row


def list_(world: World, request: Message) -> Message:
    """ListHyperparameterTuningJobs, newest first."""
    parent = canonical(request.parent)
    found, token = page(
        lambda before: world.store.children(KIND, parent, before=before),
        read,
        request,
        fields=_FIELDS,
        view=_view,
        shown="HyperparameterTuningJob",
    )
    return new("ListHyperparameterTuningJobsResponse", hyperparameter_tuning_jobs=found, next_page_token=token)


def cancel(world: World, request: Message) -> Message:
    """CancelHyperparameterTuningJob: asks; the trials are ended soon. Cancelling an ended job changes nothing."""
    row = find(world, request.name)
    job = read(row)
    if job.state not in (*jobs.ENDED, jobs.CANCELLING):
        job.state = jobs.CANCELLING
        save(world, row, job, BUSY)
    return new("google.protobuf.Empty")


def delete(world: World, request: Message) -> Message:
    """DeleteHyperparameterTuningJob: only of an ended job."""
    row = find(world, request.name)
    if row.work != DONE:
        raise precondition(f"The HyperparameterTuningJob {row.name} is still running. Cancel it before deleting it.")
    with world.store.together():
        children.drop(world, row.name)
        world.store.drop(KIND, row.name)
    return operations.finished(world, row.parent, new("google.protobuf.Empty"), new("DeleteOperationMetadata"))


METHODS: Mapping[str, Method] = {
    "JobService.CreateHyperparameterTuningJob": create,
    "JobService.GetHyperparameterTuningJob": get,
    "JobService.ListHyperparameterTuningJobs": list_,
    "JobService.CancelHyperparameterTuningJob": cancel,
    "JobService.DeleteHyperparameterTuningJob": delete,
}


def _view(job: Message) -> Json:
    slim = message_class("HyperparameterTuningJob")()
    slim.CopyFrom(job)
    for field in ("study_spec", "trial_job_spec", "trials"):
        slim.ClearField(field)
    return to_json(slim)
