"""Training as a Vertex AI hyperparameter tuning job: several trials of one training, of which the best one counts.

It lives as a custom job does. That it succeeded is not yet a trained model either: apply makes the best trial's record
the run record (`reconciler.cloud.sweeps`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from reconciler.backends import custom_job, labels, payloads
from reconciler.backends.kind import Kind, Payload, existing, impossible, wanted
from reconciler.backends.refs import resolved
from reconciler.backends.rungs import told
from reconciler.core.calls import Call, Scene
from reconciler.core.changes import Change
from reconciler.core.errors import LoraformError
from reconciler.core.resources import Json, LiveResource, Phase, Value
from schemas.sweep import Parameter, Sweep, parameter_id

NAME = "sweep_job"
SUCCEEDED = "SUCCEEDED"
TRIAL_STATES = ("STATE_UNSPECIFIED", "REQUESTED", "ACTIVE", "STOPPING", SUCCEEDED, "INFEASIBLE")
"""`google.cloud.aiplatform.v1.Trial.State` by number."""
GOALS = ("GOAL_TYPE_UNSPECIFIED", "MAXIMIZE", "MINIMIZE")
_SCALES = {"linear": "UNIT_LINEAR_SCALE", "log": "UNIT_LOG_SCALE", "reverse_log": "UNIT_REVERSE_LOG_SCALE"}
_ALGORITHMS = {"bayesian": "ALGORITHM_UNSPECIFIED", "random": "RANDOM_SEARCH", "grid": "GRID_SEARCH"}


def sweep_body(sweep: Sweep, job: Mapping[str, Value]) -> Mapping[str, Value]:
    """The `HyperparameterTuningJob` whose trials are what `job`, a `CustomJob`, would be."""
    rest = {key: value for key, value in job.items() if key != "job_spec"}
    return {
        **rest,
        "study_spec": {
            "metrics": [{"metric_id": sweep.metric, "goal": sweep.goal.upper()}],
            "parameters": [_parameter(path, sweep.parameters[path]) for path in sorted(sweep.parameters)],
            "algorithm": _ALGORITHMS[sweep.algorithm],
        },
        "max_trial_count": sweep.trials,
        "parallel_trial_count": sweep.at_once,
        "trial_job_spec": job["job_spec"],
    }


def _parameter(path: str, one: Parameter) -> Json:
    own: dict[str, Json] = {"parameter_id": parameter_id(path)}
    if one.values is not None:
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in one.values):
            return {**own, "discrete_value_spec": {"values": sorted(float(value) for value in one.values)}}
        said = [str(value).lower() if isinstance(value, bool) else str(value) for value in one.values]
        return {**own, "categorical_value_spec": {"values": list(said)}}
    kind = "integer_value_spec" if one.whole else "double_value_spec"
    return {**own, kind: {"min_value": one.min, "max_value": one.max}, "scale_type": _SCALES[one.scale]}


def live(payload: Payload, fleet: str) -> tuple[LiveResource, ...]:
    """The one job in a `HyperparameterTuningJob` payload, when it is ours."""
    found = custom_job.live({**payload, "job_spec": payloads.mapping(payload, "trial_job_spec")}, fleet)
    return tuple(_of_sweep(payload, one) for one in found)


def _of_sweep(payload: Payload, one: LiveResource) -> LiveResource:
    trials = payloads.messages(payload, "trials")
    best = best_trial(payload) if one.phase is Phase.READY else ""
    outputs: dict[str, Json] = {**one.outputs, "trials": len(trials), "best_trial": best}
    return replace(one, kind=NAME, outputs=outputs)


def best_trial(payload: Payload) -> str:
    """The id of the trial that is best by the study's metric; the first of equals. Empty where none succeeded."""
    metric = next(iter(payloads.messages(payloads.mapping(payload, "study_spec"), "metrics")), {})
    wanted_id = payloads.text(metric, "metric_id")
    sign = -1.0 if payloads.enum(metric, "goal", GOALS) == "MAXIMIZE" else 1.0
    found: list[tuple[float, int]] = []
    for trial in payloads.messages(payload, "trials"):
        if payloads.enum(trial, "state", TRIAL_STATES) != SUCCEEDED:
            continue
        measured = payloads.messages(payloads.mapping(trial, "final_measurement"), "metrics")
        values = [one.get("value", 0.0) for one in measured if payloads.text(one, "metric_id") == wanted_id]
        if values and isinstance(values[0], int | float):
            found.append((sign * float(values[0]), int(payloads.text(trial, "id"))))
    return str(min(found)[1]) if found else ""


def create(change: Change, scene: Scene) -> tuple[Call, ...]:
    """One CreateHyperparameterTuningJob; as with a custom job the claim guards against doubles."""
    resource = wanted(change)
    body = resolved(resource.body, scene.outputs)
    if not isinstance(body, Mapping):
        raise LoraformError(f"{resource.address}: the body of a sweep is a mapping")
    job_spec = payloads.mapping(body, "trial_job_spec")
    tell = partial(told, job_spec, None)
    pools = [custom_job.with_arguments(pool, scene, tell) for pool in payloads.messages(job_spec, "worker_pool_specs")]
    job: Json = {
        **body,
        "labels": labels.stamped(resource, scene, change.stamps),
        "trial_job_spec": {**job_spec, "worker_pool_specs": pools},
    }
    request: dict[str, Json] = {"parent": scene.parent, "hyperparameter_tuning_job": job}
    return (Call("JobService", "CreateHyperparameterTuningJob", request),)


def cancel(change: Change, scene: Scene) -> tuple[Call, ...]:
    """CancelHyperparameterTuningJob; one that has ended meanwhile, or is gone, is as good as cancelled."""
    request = {"name": existing(change).name}
    tolerated = frozenset({"NOT_FOUND", "FAILED_PRECONDITION"})
    return (Call("JobService", "CancelHyperparameterTuningJob", request, tolerated),)


def delete(change: Change, scene: Scene) -> tuple[Call, ...]:
    """DeleteHyperparameterTuningJob; the run record and the artifacts stay."""
    request = {"name": existing(change).name}
    return (Call("JobService", "DeleteHyperparameterTuningJob", request, frozenset({"NOT_FOUND"})),)


KIND = Kind(NAME, live, create, impossible(NAME, "updated"), delete, cancel)
