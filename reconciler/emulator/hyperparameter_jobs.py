"""JobService, hyperparameter tuning jobs: create, get, list, cancel, delete. What runs them: `hyperparameter_runs`."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.emulator import jobs, study
from reconciler.emulator.job_rooms import Room
from reconciler.emulator.store import BUSY, Row
from reconciler.emulator.wire.checks import check_display_name, check_labels
from reconciler.emulator.wire.codec import Message, new
from reconciler.emulator.wire.errors import invalid
from reconciler.emulator.wire.names import canonical, new_id
from reconciler.emulator.world import Method, World, stamp

KIND = "hyperparameter"
_OUTPUTS = ("trials", "state", "create_time", "start_time", "end_time", "update_time", "error", "satisfies_pzs",
            "satisfies_pzi")  # fmt: skip
_PLACE = "hyperparameter_tuning_job"


ROOM = Room(
    KIND,
    "HyperparameterTuningJob",
    "hyperparameter_tuning_jobs",
    large=("study_spec", "trial_job_spec", "trials"),
    owns=jobs.KIND,
)
read, save = ROOM.read, ROOM.save


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


METHODS: Mapping[str, Method] = {
    "JobService.CreateHyperparameterTuningJob": create,
    **ROOM.methods("JobService"),
}
