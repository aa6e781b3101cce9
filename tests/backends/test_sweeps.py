"""An experiment that tries several values: its job, what is read back of it, and what its keys bring about."""

from __future__ import annotations

from typing import Any

import pytest
from google.cloud import aiplatform_v1 as v1

from reconciler.backends import sweep_job
from reconciler.backends.registry import KINDS
from reconciler.core.changes import Action
from reconciler.core.guardrails import Limits
from reconciler.core.plan import make_plan
from reconciler.core.resources import Address, Phase, Resource, Role, Snapshot
from reconciler.repo.desired import resources_of
from schemas.effects import Effect, declared_fields
from schemas.experiment import Experiment
from schemas.rules import findings
from schemas.sweep import as_value
from tests.backends.subjects import PLAIN, change, merged, scene, subject

SWEEP: dict[str, Any] = {
    "parameters": {
        "training.learning_rate": {"min": 1e-5, "max": 1e-3, "scale": "log"},
        "adapter.r": {"values": [32, 8]},
        "training.num_train_epochs": {"min": 1, "max": 3},
        "training.lr_scheduler_type": {"values": ["linear", "cosine"]},
    },
    "trials": 8,
    "parallel": 2,
    "goal": "minimize",
}


def training(**changes: Any) -> Resource:
    return resources_of(subject({"sweep": {**SWEEP, **changes}}))[0]


def job(resource: Resource) -> dict[str, Any]:
    (call,) = KINDS[resource.kind].create(change(Action.CREATE, resource), scene())
    v1.CreateHyperparameterTuningJobRequest(call.request)
    assert call.method == "CreateHyperparameterTuningJob"
    return dict(call.request["hyperparameter_tuning_job"])


def test_a_sweep_is_a_tuning_job_of_googles_own_kind() -> None:
    made = job(training())

    assert (made["max_trial_count"], made["parallel_trial_count"]) == (8, 2)
    assert made["study_spec"]["metrics"] == [{"metric_id": "eval_loss", "goal": "MINIMIZE"}]
    assert made["study_spec"]["parameters"] == [
        {"parameter_id": "adapter-r", "discrete_value_spec": {"values": [8.0, 32.0]}},
        {
            "parameter_id": "training-learning_rate",
            "double_value_spec": {"min_value": 1e-5, "max_value": 1e-3},
            "scale_type": "UNIT_LOG_SCALE",
        },
        {"parameter_id": "training-lr_scheduler_type", "categorical_value_spec": {"values": ["linear", "cosine"]}},
        {
            "parameter_id": "training-num_train_epochs",
            "integer_value_spec": {"min_value": 1, "max_value": 3},
            "scale_type": "UNIT_LINEAR_SCALE",
        },
    ]
    assert made["trial_job_spec"]["worker_pool_specs"][0]["container_spec"]["args"][0] == "--spec"


def test_the_server_has_room_for_the_largest_rank_that_is_tried() -> None:
    model = next(one for one in resources_of(subject({"sweep": SWEEP})) if one.address.role is Role.MODEL)

    assert '"rank":32' in str(model.body).replace(" ", "").replace("'", '"')


@pytest.mark.parametrize(
    ("key", "value", "moves"),
    [
        ("trials", 9, True),
        ("goal", "maximize", True),
        ("fraction", 0.2, True),
        ("seed", 1, True),
        ("parallel", 3, False),
    ],
)
def test_what_is_tried_is_in_the_identity_and_how_many_at_a_time_is_not(key: str, value: Any, moves: bool) -> None:
    before, after = training(), training(**{key: value})

    assert (before.identity != after.identity) is moves
    assert moves or before.attempt_key != after.attempt_key


def test_every_key_of_a_sweep_is_learnt_by_but_how_many_run_at_a_time() -> None:
    whole = {**SWEEP, "metric": "perplexity", "algorithm": "random", "fraction": 0.2, "seed": 3}
    leaves = declared_fields(Experiment.model_validate(merged(PLAIN, {"sweep": whole})))

    effects = {path: leaf.effect for path, leaf in leaves.items() if path.startswith("sweep.")}
    assert {path for path, effect in effects.items() if effect is not Effect.RETRAIN} == {"sweep.parallel"}
    assert len(effects) == 8


def test_a_plan_counts_every_trial() -> None:
    resources = resources_of(subject({"sweep": SWEEP}))
    address = Address("support-bot", Role.TRAINING)

    free = make_plan(resources, Snapshot(), now=0.0, target="local", limits=Limits(allow_runs=8))
    held = make_plan(resources, Snapshot(), now=0.0, target="local")

    assert [impact.runs for impact in free.impacts] == [8]
    assert next(one.action.value for one in free.changes if one.address == address) == "create"
    assert "8 training starts in one plan: --allow-runs 8" in next(
        one.detail for one in held.changes if one.address == address
    )


def payload(**more: Any) -> dict[str, Any]:
    made = job(training())
    return {**made, "name": "projects/1/locations/r/hyperparameterTuningJobs/7", "state": "JOB_STATE_SUCCEEDED", **more}


def trial(number: int, value: float | None, state: str = "SUCCEEDED") -> dict[str, Any]:
    measured = {} if value is None else {"final_measurement": {"metrics": [{"metric_id": "eval_loss", "value": value}]}}
    return {"id": str(number), "state": state, **measured}


def test_the_best_trial_is_read_back() -> None:
    trials = [trial(1, 2.0), trial(2, 0.5), trial(3, 0.1, "INFEASIBLE"), trial(4, None), trial(5, 0.5)]

    (live,) = sweep_job.live(payload(trials=trials), "acme")

    assert (live.phase, live.outputs["best_trial"], live.outputs["trials"]) == (Phase.READY, "2", 5)
    assert (live.kind, live.address) == (sweep_job.NAME, Address("support-bot", Role.TRAINING))
    assert KINDS[live.kind] is sweep_job.KIND


def test_a_sweep_that_runs_or_has_no_good_trial_has_no_best_one() -> None:
    (running,) = sweep_job.live(payload(trials=[trial(1, 2.0)], state="JOB_STATE_RUNNING"), "acme")
    (bad,) = sweep_job.live(payload(trials=[trial(1, None)]), "acme")

    assert (running.outputs["best_trial"], bad.outputs["best_trial"]) == ("", "")
    assert sweep_job.live(payload(), "other") == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"parameters": {"training.lerning_rate": {"values": [1]}}}, "`training.lerning_rate` cannot be tried"),
        ({"parameters": {"training.logging_steps": {"values": [1]}}}, "`training.logging_steps` cannot be tried"),
        ({"parameters": {"data.train": {"values": ["a"]}}}, "`data.train` cannot be tried"),
        ({"metric": "sql_match"}, "trials cannot be compared by `sql_match`"),
        ({"algorithm": "grid"}, "a grid cannot go through a range of fractions"),
    ],
)
def test_what_cannot_be_tried_is_told(changes: dict[str, Any], said: str) -> None:
    manifest = Experiment.model_validate(merged(PLAIN, {"sweep": {**SWEEP, **changes}}))

    assert any(finding.message == said for finding in findings(manifest))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"values": [1], "min": 1, "max": 2},
        {"min": 1},
        {"min": 2, "max": 1},
        {"min": 0.0, "max": 1.0, "scale": "log"},
    ],
)
def test_a_parameter_is_some_values_or_a_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="sweep"):
        Experiment.model_validate(merged(PLAIN, {"sweep": {"trials": 2, "parameters": {"adapter.r": wrong}}}))


@pytest.mark.parametrize(
    ("text", "value"), [("0.001", 0.001), ("16.0", 16), ("3", 3), ("true", True), ("cosine", "cosine"), ("nan", "nan")]
)
def test_a_trials_words_are_values_again(text: str, value: Any) -> None:
    assert as_value(text) == value
    assert type(as_value(text)) is type(value)
