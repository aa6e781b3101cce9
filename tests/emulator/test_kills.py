"""kill -9 at any moment, then a new start: what was finished is there, what was begun is completed or says why not."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1
from requests import RequestException

from tests.emulator import test_hyperparameters, test_pipelines
from tests.emulator.clients import ENDED, Cloud, until
from tests.emulator.images import STAND_INS
from tests.emulator_fixture import emulator_card, post, running_emulator, start_emulator

pytestmark = pytest.mark.slow

PARENT = "projects/p/locations/us-central1"
Programs = Mapping[str, Sequence[str] | str]
SLEEP = "import time; print('started', flush=True); time.sleep(600)"
STOPPED = "was stopped while this job was running"


OPTIONS = ("--jobs-at-once", "4", "--stand-ins", json.dumps(STAND_INS))


class Busy:
    """A client that makes one thing after another, and remembers what it was told is there."""

    def __init__(self, url: str, seed: int) -> None:
        self.cloud, self.random = Cloud(url, PARENT), Random(seed)
        self.names: list[str] = []
        self.operations: list[str] = []
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        makers = (self.job, self.model, self.endpoint, self.deployment, self.study)
        try:
            while True:
                self.random.choice(makers)()
        except (RequestException, exceptions.GoogleAPICallError):
            return  # the server has been killed

    def job(self) -> None:
        self.names.append(self.cloud.job("sleep" if self.random.random() < 0.5 else "echo", "600").name)

    def model(self) -> None:
        operation = self.cloud.models.upload_model(request={"parent": PARENT, "model": MODEL})
        self.operations.append(operation.operation.name)
        self.names.append(operation.result().model)

    def endpoint(self) -> None:
        self.names.append(self.cloud.endpoint().name)

    def deployment(self) -> None:
        endpoint = self.cloud.endpoint()
        model = self.cloud.model(image="test/serve" if self.random.random() < 0.3 else "test/stub")
        self.operations.append(self.cloud.deploy(endpoint, model, {"0": 100}).operation.name)

    def study(self) -> None:
        self.names.append(test_hyperparameters.tune(self.cloud).name)


MODEL = {
    "display_name": "a model",
    "container_spec": {"image_uri": "test/stub", "predict_route": "/predict", "health_route": "/health"},
}


@pytest.mark.parametrize("seed", range(4))
def test_what_was_told_to_be_there_is_there_and_nothing_hangs(tmp_path: Path, programs: Programs, seed: int) -> None:
    server = start_emulator(tmp_path, programs, *OPTIONS)
    busy = Busy(emulator_card(tmp_path)["url"], seed)
    count = Random(seed).randint(3, 30)
    until(lambda: len(busy.names), lambda made: made >= count, 60)
    server.kill()
    server.wait()
    busy.thread.join()

    with running_emulator(tmp_path, programs, *OPTIONS) as url:
        cloud = Cloud(url, PARENT)
        for name in busy.names:
            assert found(cloud, name).name == name
        for endpoint in cloud.endpoints.list_endpoints(parent=PARENT):
            listed = cloud.endpoints.list_operations({"name": endpoint.name}).operations
            busy.operations += [operation.name for operation in listed]
        for name in busy.operations:
            done = until(lambda name=name: cloud.models.get_operation({"name": name}), lambda one: one.done, 60)
            assert not done.HasField("error"), done.error
        for job in cloud.jobs.list_custom_jobs(parent=PARENT):
            assert ended_well_or_said_why(cloud, job.name)
        for study in cloud.jobs.list_hyperparameter_tuning_jobs(parent=PARENT):
            assert test_hyperparameters.ended(cloud, study).state in ENDED
        for endpoint in cloud.endpoints.list_endpoints(parent=PARENT):
            assert sum(endpoint.traffic_split.values()) in (0, 100)
            assert set(endpoint.traffic_split) <= {one.id for one in endpoint.deployed_models}


def test_a_study_whose_trials_were_running_fails_and_says_why(tmp_path: Path, programs: Programs) -> None:
    server = start_emulator(tmp_path, programs, *OPTIONS)
    cloud = Cloud(emulator_card(tmp_path)["url"], PARENT)
    study = test_hyperparameters.tune(cloud, SLEEP, max_trial_count=2, parallel_trial_count=2)
    look = lambda: cloud.jobs.get_hyperparameter_tuning_job(name=study.name)  # noqa: E731
    until(look, lambda one: [trial.state.name for trial in one.trials] == ["ACTIVE"] * 2)
    until(lambda: running(cloud), lambda count: count == 2)
    server.kill()
    server.wait()

    with running_emulator(tmp_path, programs, *OPTIONS) as url:
        done = test_hyperparameters.ended(Cloud(url, PARENT), study)

    assert done.state == v1.JobState.JOB_STATE_FAILED
    assert STOPPED in done.error.message
    assert all(STOPPED in trial.infeasible_reason for trial in done.trials)


def test_a_pipeline_whose_container_was_running_fails_and_says_why(tmp_path: Path, programs: Programs) -> None:
    server = start_emulator(tmp_path, programs, *OPTIONS)
    cloud = Cloud(emulator_card(tmp_path)["url"], PARENT)
    pipeline = test_pipelines.start(cloud, compiled=test_pipelines.spec(SLEEP), word="x")
    client = test_pipelines.pipelines(cloud)
    until(lambda: client.get_pipeline_job(name=pipeline.name), lambda one: one.state.name == "PIPELINE_STATE_RUNNING")
    until(lambda: running(cloud), bool)
    server.kill()
    server.wait()

    with running_emulator(tmp_path, programs, *OPTIONS) as url:
        done = test_pipelines.ended(Cloud(url, PARENT), pipeline)

    failed = [task for task in done.job_detail.task_details if task.state.name == "FAILED"]
    assert done.state == v1.PipelineState.PIPELINE_STATE_FAILED
    assert any(STOPPED in task.error.message for task in failed)


def test_a_tuning_job_that_was_running_fails_and_says_why(tmp_path: Path, programs: Programs) -> None:
    given = {**programs, "loraform/train": ["python", "-c", SLEEP]}
    server = start_emulator(tmp_path, given, *OPTIONS)
    cloud = Cloud(emulator_card(tmp_path)["url"], PARENT)
    post(f"{cloud.url}/storage/v1/b?project=p", {"name": "tuning-data"})
    row = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}
    post(f"{cloud.url}/upload/storage/v1/b/tuning-data/o?uploadType=media&name=rows.jsonl", row)
    body = {
        "baseModel": "meta/llama3_1@llama-3.1-8b",
        "supervisedTuningSpec": {"trainingDatasetUri": "gs://tuning-data/rows.jsonl"},
        "outputUri": "gs://tuning-data/out",
    }
    name = post(f"{cloud.url}/v1beta1/{PARENT}/tuningJobs", body)["name"]
    until(lambda: tuning(cloud, name), lambda one: one["state"] == "JOB_STATE_RUNNING")
    until(lambda: running(cloud), bool)
    server.kill()
    server.wait()

    with running_emulator(tmp_path, given, *OPTIONS) as url:
        ended = ("JOB_STATE_FAILED", "JOB_STATE_SUCCEEDED")
        done = until(lambda: tuning(Cloud(url, PARENT), name), lambda one: one["state"] in ended)

    assert (done["state"], STOPPED in done["error"]["message"]) == ("JOB_STATE_FAILED", True)


def test_an_undeployment_that_was_in_flight_is_completed(tmp_path: Path, programs: Programs) -> None:
    server = start_emulator(tmp_path, programs)
    cloud = Cloud(emulator_card(tmp_path)["url"], PARENT)
    endpoint = cloud.endpoint()
    cloud.deploy(endpoint, cloud.model(), {"0": 100}, id="3").result()
    gone = cloud.endpoints.undeploy_model(endpoint=endpoint.name, deployed_model_id="3")
    server.kill()
    server.wait()

    with running_emulator(tmp_path, programs) as url:
        cloud = Cloud(url, PARENT)
        name = gone.operation.name
        operation = until(lambda: cloud.endpoints.get_operation({"name": name}), lambda one: one.done)
        left = cloud.read(endpoint)
        cloud.endpoints.delete_endpoint(name=endpoint.name).result()

    assert (operation.HasField("error"), len(left.deployed_models), dict(left.traffic_split)) == (False, 0, {})


def found(cloud: Cloud, name: str) -> Any:
    """A resource by its name, of whatever kind."""
    match name.split("/")[-2]:
        case "customJobs":
            return cloud.jobs.get_custom_job(name=name)
        case "hyperparameterTuningJobs":
            return cloud.jobs.get_hyperparameter_tuning_job(name=name)
        case "models":
            return cloud.models.get_model(name=name)
    return cloud.endpoints.get_endpoint(name=name)


def ended_well_or_said_why(cloud: Cloud, name: str) -> bool:
    """Whether a job succeeds, or failed as its server was killed; what waited at the kill may still have to run."""
    look = cloud.jobs.get_custom_job
    job = look(name=name)
    if job.state == v1.JobState.JOB_STATE_FAILED:
        return STOPPED in job.error.message
    if job.job_spec.worker_pool_specs[0].container_spec.args[0] == "sleep":
        cloud.jobs.cancel_custom_job(name=name)
        return bool(until(lambda: look(name=name), lambda one: one.state in ENDED, 30).error.message)
    return bool(until(lambda: look(name=name), lambda one: one.state in ENDED, 60).state == 4)


def running(cloud: Cloud) -> int:
    """How many programs have begun, as their logs tell."""
    query = 'resource.type="ml_job" AND textPayload="started"'
    return len(
        post(f"{cloud.url}/v2/entries:list", {"resourceNames": ["projects/p"], "filter": query}).get("entries", [])
    )


def tuning(cloud: Cloud, name: str) -> dict[str, Any]:
    """A tuning job as JSON."""
    answer: dict[str, Any] = httpx.get(f"{cloud.url}/v1beta1/{name}").json()
    return answer
