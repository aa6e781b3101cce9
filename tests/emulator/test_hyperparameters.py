"""Hyperparameter tuning jobs: trials that really run, and report as cloudml-hypertune does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud import aiplatform_v1 as v1
from google.cloud.aiplatform import hyperparameter_tuning as hpt

from tests.emulator.clients import ENDED, Cloud, until

# Reports (x - 3) squared, so that the best is as near to 3 as it gets.
SQUARE = """
import json, os, sys
asked = dict(word.removeprefix("--").split("=") for word in sys.argv[1:])
report = {"trial": os.environ["CLOUD_ML_TRIAL_ID"], "global_step": "7", "error": str((float(asked["x"]) - 3) ** 2)}
if asked["x"] == "5":
    sys.exit("x is too large")
with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "w") as metrics:
    metrics.write(json.dumps(report) + chr(10))
"""
EVENT = """print('LORAFORM {"event": "metrics", "error": 0.5, "time": 1.0}')"""


def tune(
    cloud: Cloud, program: str = SQUARE, algorithm: str = "GRID_SEARCH", **fields: Any
) -> v1.HyperparameterTuningJob:
    container = {"image_uri": "x", "command": ["python", "-c", program]}
    parameters = fields.pop(
        "parameters", [{"parameter_id": "x", "integer_value_spec": {"min_value": 1, "max_value": 5}}]
    )
    metrics = [{"metric_id": "error", "goal": "MINIMIZE"}]
    job = {
        "display_name": "a study",
        "study_spec": {"metrics": metrics, "parameters": parameters, "algorithm": algorithm},
        "max_trial_count": 8,
        "parallel_trial_count": 3,
        "trial_job_spec": {"worker_pool_specs": [{"container_spec": container}]},
        **fields,
    }
    return cloud.jobs.create_hyperparameter_tuning_job(parent=cloud.parent, hyperparameter_tuning_job=job)


def ended(cloud: Cloud, job: v1.HyperparameterTuningJob) -> v1.HyperparameterTuningJob:
    look = cloud.jobs
    return until(lambda: look.get_hyperparameter_tuning_job(name=job.name), lambda found: found.state in ENDED, 60)


def test_a_grid_is_tried_whole_and_the_best_trial_comes_first(cloud: Cloud) -> None:
    done = ended(cloud, tune(cloud))

    found = {
        trial.id: trial.final_measurement.metrics[0].value for trial in done.trials if trial.state.name == "SUCCEEDED"
    }
    assert done.state == v1.JobState.JOB_STATE_SUCCEEDED, done.error
    assert found == {"1": 4.0, "2": 1.0, "3": 0.0, "4": 1.0}
    assert (done.trials[0].id, done.trials[0].parameters[0].value, done.trials[0].final_measurement.step_count) == (
        "3",
        3,
        7,
    )
    assert (done.trials[-1].state.name, "x is too large" in done.trials[-1].infeasible_reason) == ("INFEASIBLE", True)
    assert cloud.jobs.get_custom_job(name=done.trials[0].custom_job).state == v1.JobState.JOB_STATE_SUCCEEDED
    assert list(cloud.jobs.list_custom_jobs(parent=cloud.parent)) == []


def test_random_values_stay_within_their_bounds(cloud: Cloud) -> None:
    rate = {"parameter_id": "x", "double_value_spec": {"min_value": 1e-5, "max_value": 1e-2}}
    kind = {"parameter_id": "kind", "categorical_value_spec": {"values": ["lora", "full"]}}
    parameters = [{**rate, "scale_type": "UNIT_LOG_SCALE"}, kind]

    done = ended(cloud, tune(cloud, algorithm="RANDOM_SEARCH", max_trial_count=2, parameters=parameters))

    assert done.state == v1.JobState.JOB_STATE_SUCCEEDED, done.error
    tried = [{one.parameter_id: one.value for one in trial.parameters} for trial in done.trials]
    assert len(tried) == 2
    assert all(1e-5 <= values["x"] <= 1e-2 and values["kind"] in ("lora", "full") for values in tried)


def test_the_metrics_event_of_the_trainer_counts_as_a_report(cloud: Cloud) -> None:
    done = ended(cloud, tune(cloud, EVENT, max_trial_count=1))

    assert [one.value for one in done.trials[0].final_measurement.metrics] == [0.5]


def test_studies_are_listed_by_filter(cloud: Cloud) -> None:
    job = tune(cloud, EVENT, max_trial_count=1, labels={"team": "x"})

    def listed(text: str) -> list[str]:
        request = {"parent": cloud.parent, "filter": text}
        return [one.name for one in cloud.jobs.list_hyperparameter_tuning_jobs(request=request)]

    assert listed("labels.team=x") == [job.name]
    assert listed('display_name="another"') == []


def test_trials_that_report_nothing_fail_the_job_and_say_how_to_report(cloud: Cloud) -> None:
    done = ended(cloud, tune(cloud, "pass", max_failed_trial_count=1))

    assert done.state == v1.JobState.JOB_STATE_FAILED
    assert "CLOUD_ML_HP_METRIC_FILE" in done.error.message


def test_cancelling_ends_the_trials_and_an_ended_job_is_deleted(cloud: Cloud) -> None:
    job = tune(cloud, "import time; time.sleep(600)")
    look = cloud.jobs
    until(lambda: look.get_hyperparameter_tuning_job(name=job.name).trials, lambda trials: len(trials) == 3)

    look.cancel_hyperparameter_tuning_job(name=job.name)
    done = ended(cloud, job)
    look.delete_hyperparameter_tuning_job(name=job.name).result()

    assert done.state == v1.JobState.JOB_STATE_CANCELLED
    with pytest.raises(exceptions.NotFound):
        look.get_hyperparameter_tuning_job(name=job.name)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"max_trial_count": 0}, "max_trial_count must be at least 1"),
        ({"parameters": []}, "at least one parameter"),
        ({"trial_job_spec": {}}, "worker_pool_specs"),
        (
            {"parameters": [{"parameter_id": "x", "double_value_spec": {"min_value": 0, "max_value": 1}}]},
            "cannot enumerate x",
        ),
    ],
)
def test_a_study_that_could_never_run_is_refused(cloud: Cloud, change: dict[str, Any], named: str) -> None:
    with pytest.raises(exceptions.BadRequest, match=named):
        tune(cloud, **change)


@pytest.fixture
def sdk(cloud: Cloud) -> Iterator[None]:
    aiplatform.init(
        project=cloud.parent.split("/")[1],
        location="us-central1",
        api_endpoint=cloud.url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
        staging_bucket="gs://staging",
    )
    yield
    aiplatform.initializer.global_config.__init__()


@pytest.mark.usefixtures("sdk")
def test_a_study_of_the_sdk_runs_and_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("google.cloud.aiplatform.jobs._JOB_WAIT_TIME", 0.1)  # seconds between two looks
    container = {"image_uri": "x", "command": ["python", "-c", SQUARE]}
    pools = [{"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1, "container_spec": container}]
    job = aiplatform.HyperparameterTuningJob(
        display_name="sdk-study",
        custom_job=aiplatform.CustomJob(display_name="a trial", worker_pool_specs=pools),
        metric_spec={"error": "minimize"},
        parameter_spec={"x": hpt.DiscreteParameterSpec(values=[1, 2.5], scale="linear")},
        search_algorithm="grid",
        max_trial_count=2,
        parallel_trial_count=2,
    )

    job.run()

    assert job.state.name == "JOB_STATE_SUCCEEDED"
    assert [trial.parameters[0].value for trial in job.trials] == [2.5, 1]
    assert [one.display_name for one in aiplatform.HyperparameterTuningJob.list()] == ["sdk-study"]
