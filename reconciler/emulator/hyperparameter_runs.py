"""Makes hyperparameter tuning jobs run: every trial is a custom job of the trial's spec, `--name=value` args added.

A trial reports as the library cloudml-hypertune does, into the file that `CLOUD_ML_HP_METRIC_FILE` names (one for
each trial), or by a `LORAFORM` event `metrics` on its output. One call of `advance` never blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reconciler.emulator import children, fates, hyperparameter_jobs, jobs, study
from reconciler.emulator.pipeline_spec import as_text
from reconciler.emulator.steps import each
from reconciler.emulator.store import BUSY, DONE, Row
from reconciler.emulator.wire.codec import Message, new
from reconciler.emulator.wire.errors import RPC_CODES, ApiError
from reconciler.emulator.wire.names import last, parent_of
from reconciler.emulator.world import World, stamp

AT_ONCE = 64
ACTIVE, SUCCEEDED, INFEASIBLE = 2, 4, 5


def advance(world: World) -> bool:
    """One pass over all unfinished jobs. True when something has changed."""
    return each(world, hyperparameter_jobs.KIND, _step)


def _step(world: World, row: Row) -> bool:
    job = hyperparameter_jobs.read(row)
    verdict = fates.of_owner(world, row, job)
    return _advanced(world, row, job) if verdict is None else _close(world, row, job, verdict)


def _advanced(world: World, row: Row, job: Message) -> bool:
    before = job.SerializeToString()
    for trial in job.trials:
        if trial.state == ACTIVE:
            _look(world, job, trial)
    failed = sum(trial.state == INFEASIBLE for trial in job.trials)
    limit = job.max_failed_trial_count
    doomed = bool(limit) and failed >= limit
    active = sum(trial.state == ACTIVE for trial in job.trials)
    more = not doomed
    while more and active < min(job.parallel_trial_count, AT_ONCE) and len(job.trials) < job.max_trial_count:
        more = _begin(world, row, job)
        active += more
    if active == 0:
        _end(world, job, doomed)
    if job.SerializeToString() == before:
        return False
    hyperparameter_jobs.save(world, row, job, DONE if job.state in jobs.ENDED else BUSY)
    return True


def _begin(world: World, row: Row, job: Message) -> bool:
    """Start the next trial; False when there is none left to try."""
    number = len(job.trials) + 1
    values = study.suggest(job.study_spec, job.name, number)
    if values is None:
        return False
    trial = job.trials.add(id=str(number), name=f"{parent_of(job.name)}/studies/{last(job.name)}/trials/{number}")
    stamp(trial.start_time, world.clock())
    for name, value in values.items():
        one = trial.parameters.add(parameter_id=name)
        if isinstance(value, str):
            one.value.string_value = value
        else:
            one.value.number_value = value
    child = new("CustomJob", display_name=f"{job.display_name[:100]} trial {number}", job_spec=job.trial_job_spec)
    output = child.job_spec.base_output_directory.output_uri_prefix.rstrip("/")
    if output:  # as the service does: each trial has a folder of its own
        child.job_spec.base_output_directory.output_uri_prefix = f"{output}/{number}"
    report = _report(world, job, trial)
    report.parent.mkdir(parents=True, exist_ok=True)
    for pool in child.job_spec.worker_pool_specs:
        task = pool.WhichOneof("task")
        if task is not None:
            spec = getattr(pool, task)
            spec.args.extend(f"--{name}={as_text(value)}" for name, value in values.items())
            spec.env.add(name="CLOUD_ML_TRIAL_ID", value=trial.id)
            spec.env.add(name="CLOUD_ML_HP_METRIC_FILE", value=str(report))
    trial.custom_job = children.begin(world, child, parent_of(job.name), job.name)
    if number == 1:
        fates.hand_down(world, row, trial.custom_job)
    trial.state = ACTIVE
    if not job.HasField("start_time"):
        stamp(job.start_time, world.clock())
    job.state = jobs.RUNNING
    return True


def _look(world: World, job: Message, trial: Message) -> None:
    try:
        child = children.look(world, trial.custom_job)
    except ApiError as error:  # somebody has deleted it
        trial.state, trial.infeasible_reason = INFEASIBLE, error.message
        return
    if not children.ended(child):
        return
    stamp(trial.end_time, world.clock())
    names = [metric.metric_id for metric in job.study_spec.metrics]
    reports = study.measured(_lines(_report(world, job, trial)), names)
    reports = reports or study.measured(_events(children.log_of(world, trial.custom_job)), names)
    found = study.chosen(job.study_spec, reports)
    if child.state != jobs.SUCCEEDED:
        trial.state, trial.infeasible_reason = INFEASIBLE, child.error.message
    elif found is None:
        trial.state = INFEASIBLE
        trial.infeasible_reason = (
            f"The trial ended without a report of {names[0]}. Report it with cloudml-hypertune, which writes to the "
            "file in CLOUD_ML_HP_METRIC_FILE."
        )
    else:
        trial.state = SUCCEEDED
        trial.final_measurement.step_count = found[0]
        for name, value in found[1].items():
            trial.final_measurement.metrics.add(metric_id=name, value=value)


def _end(world: World, job: Message, doomed: bool) -> None:
    ordered = study.best_first(job.study_spec, job.trials)
    kept = [type(trial).FromString(trial.SerializeToString()) for trial in ordered]
    del job.trials[:]
    job.trials.extend(kept)
    stamp(job.end_time, world.clock())
    good = any(trial.state == SUCCEEDED for trial in job.trials)
    job.state = jobs.SUCCEEDED if good and not doomed else jobs.FAILED
    if job.state == jobs.FAILED:
        reason = next((trial.infeasible_reason for trial in job.trials if trial.infeasible_reason), "")
        failed = sum(trial.state == INFEASIBLE for trial in job.trials)
        job.error.code = RPC_CODES["FAILED_PRECONDITION"]
        job.error.message = f"{failed} of {len(job.trials)} trials have failed, such as: {reason}"


def _close(world: World, row: Row, job: Message, verdict: fates.Verdict) -> bool:
    """End the job as somebody else decided it, once its trials are over."""
    if children.cancel(world, [trial.custom_job for trial in job.trials]):
        job.state, status, message = verdict
        for trial in job.trials:
            if trial.state == ACTIVE:
                trial.state, trial.infeasible_reason = INFEASIBLE, "The trial was ended with its job."
                stamp(trial.end_time, world.clock())
        if status:
            job.error.code, job.error.message = RPC_CODES[status], message
        stamp(job.end_time, world.clock())
        hyperparameter_jobs.save(world, row, job, DONE)
    return True


def _report(world: World, job: Message, trial: Message) -> Path:
    return world.settings.folder / "trials" / last(job.name) / str(trial.id) / "output.metrics"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _events(log: Path) -> Iterator[str]:
    return (line for line in _lines(log) if line.startswith("LORAFORM ") and '"event": "metrics"' in line)
