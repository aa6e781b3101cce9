"""What a fault or a test's decision does to everything that runs for a while: all kinds of jobs, and deployments."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.emulator.clients import Cloud, until
from tests.emulator_fixture import finish_job, post, running_emulator

_NUMBERS = itertools.count(1)
OVER = ("SUCCEEDED", "FAILED", "CANCELLED")
POOL = {"containerSpec": {"imageUri": "held"}, "machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": "1"}
SPEC = {"workerPoolSpecs": [POOL], "scheduling": {"strategy": "SPOT"}}
STUDY = {
    "metrics": [{"metricId": "loss", "goal": "MINIMIZE"}],
    "parameters": [{"parameterId": "r", "doubleValueSpec": {"minValue": 1, "maxValue": 2}}],
}
PIPELINE = {
    "pipelineInfo": {"name": "one-step"},
    "root": {"dag": {"tasks": {"step": {"componentRef": {"name": "step"}}}}},
    "components": {"step": {"executorLabel": "step"}},
    "deploymentSpec": {"executors": {"step": {"container": {"image": "held"}}}},
}
TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"


@dataclass(frozen=True)
class Kind:
    """One kind of job: its collection, what creates one, and a body that runs until it is told to end."""

    collection: str
    method: str
    body: Mapping[str, Any]


STUDIES = Kind(
    "hyperparameterTuningJobs",
    "JobService.CreateHyperparameterTuningJob",
    {"displayName": "j", "studySpec": STUDY, "maxTrialCount": 2, "parallelTrialCount": 1, "trialJobSpec": SPEC},
)
PIPELINES = Kind(
    "pipelineJobs",
    "PipelineService.CreatePipelineJob",
    {"pipelineSpec": PIPELINE, "runtimeConfig": {"gcsOutputDirectory": "gs://b/out"}},
)
TRAININGS = Kind(
    "trainingPipelines",
    "PipelineService.CreateTrainingPipeline",
    {"displayName": "j", "trainingTaskDefinition": TASK, "trainingTaskInputs": SPEC},
)
ROW = b'{"contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [{"text": "ho"}]}]}\n'
TUNINGS = Kind(
    "tuningJobs",
    "GenAiTuningService.CreateTuningJob",
    {"baseModel": "m", "supervisedTuningSpec": {"trainingDatasetUri": "gs://rows/t.jsonl"}, "outputUri": "gs://b/out"},
)
TEMPLATES = Kind(
    "pipelineJobs",
    "PipelineService.CreatePipelineJob",
    {
        "runtimeConfig": {
            "gcsOutputDirectory": "gs://b/out",
            "parameterValues": {"project": "p", "model_display_name": "m", "dataset_uri": "gs://rows/t.jsonl"},
        },
        "templateUri": "https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0",
    },
)
KINDS = pytest.mark.parametrize("kind", [STUDIES, PIPELINES, TEMPLATES, TRAININGS, TUNINGS])


@pytest.fixture(scope="module")
def own_url(tmp_path_factory: pytest.TempPathFactory, programs: Mapping[str, Sequence[str] | str]) -> Iterator[str]:
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    held = {**programs, "held": "hold", "loraform/train": sleeper}
    with running_emulator(
        tmp_path_factory.mktemp("fates"), held, "--jobs-at-once", "9", "--stand-ins", '{"*": "/base"}'
    ) as url:
        # Rows for the tuning jobs: one whose rows are missing ends by itself, perhaps before a test says how.
        httpx.post(f"{url}/storage/v1/b?project=fates", json={"name": "rows"}).raise_for_status()
        rows = f"{url}/upload/storage/v1/b/rows/o?uploadType=media&name=t.jsonl"
        httpx.post(rows, content=ROW * 20).raise_for_status()
        yield url


@pytest.fixture
def own(own_url: str) -> Cloud:
    return Cloud(own_url, f"projects/fates-{next(_NUMBERS)}/locations/us-central1")


def order(own: Cloud, method: str, effect: Mapping[str, Any]) -> None:
    post(f"{own.url}/emulator/faults", {"match": {"method": method}, "effect": effect})


def ask(own: Cloud, kind: Kind) -> httpx.Response:
    return httpx.post(f"{own.url}/v1/{own.parent}/{kind.collection}", json=dict(kind.body))


def create(own: Cloud, kind: Kind) -> str:
    name: str = ask(own, kind).json()["name"]
    return name


def look(own: Cloud, name: str) -> Any:
    return httpx.get(f"{own.url}/v1/{name}").json()


def state(found: Mapping[str, Any]) -> str:
    return str(found["state"]).rpartition("STATE_")[2]


def reach(own: Cloud, name: str, *states: str) -> Any:
    return until(lambda: look(own, name), lambda found: state(found) in states)


def left_running(own: Cloud, owner: str) -> list[str]:
    """The custom jobs of the owner's project that have not ended."""
    found = httpx.get(f"{own.url}/emulator/overview").json()["jobs"]
    project = owner.partition("/locations/")[0]
    return [one["name"] for one in found if one["name"].startswith(f"{project}/") and state(one) not in OVER]


@KINDS
def test_a_job_of_any_kind_fails_with_the_message_that_was_ordered(own: Cloud, kind: Kind) -> None:
    order(own, kind.method, {"fail": "The loss diverged."})

    name = create(own, kind)
    done = reach(own, name, *OVER)

    assert (state(done), done["error"]["message"]) == ("FAILED", "The loss diverged.")
    assert left_running(own, name) == []


@KINDS
def test_a_job_of_any_kind_finds_no_machine(own: Cloud, kind: Kind) -> None:
    order(own, kind.method, {"stock_out": "run"})

    done = reach(own, create(own, kind), *OVER)

    assert (state(done), done["error"]["code"]) == ("FAILED", 8)
    assert "Resources are insufficient in region: us-central1" in done["error"]["message"]


@KINDS
def test_a_creation_of_any_kind_is_refused_for_want_of_machines(own: Cloud, kind: Kind) -> None:
    order(own, kind.method, {"stock_out": "create"})

    refused = ask(own, kind)

    assert (refused.status_code, refused.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")


@KINDS
@pytest.mark.parametrize("end", ["FAILED", "CANCELLED"])
def test_a_test_decides_how_a_job_of_any_kind_ends(own: Cloud, kind: Kind, end: str) -> None:
    name = create(own, kind)
    reach(own, name, "RUNNING")

    finish_job(own.url, name, f"JOB_STATE_{end}", "as I say")
    done = reach(own, name, *OVER)

    assert (state(done), done["error"]["message"]) == (end, "as I say")
    assert left_running(own, name) == []


@KINDS
def test_a_test_lets_a_job_of_any_kind_succeed_once(own: Cloud, kind: Kind) -> None:
    name = create(own, kind)

    finish_job(own.url, name)
    done = reach(own, name, *OVER)
    again = httpx.post(f"{own.url}/emulator/jobs/{name.rpartition('/')[2]}:finish", json={})

    assert state(done) == "SUCCEEDED"
    assert "error" not in done
    assert (again.status_code, "already ended" in again.text) == (400, True)


def test_a_tuning_that_a_test_lets_succeed_has_a_model(own: Cloud) -> None:
    name = create(own, TUNINGS)

    finish_job(own.url, name)
    done = reach(own, name, *OVER)

    assert own.models.get_model(name=done["tunedModel"]["model"]).artifact_uri.startswith("gs://b/out/postprocess/")


@pytest.mark.parametrize("first", ["PENDING", "RUNNING"])
def test_a_tuning_pipeline_that_a_test_lets_succeed_has_a_model_and_an_endpoint(own: Cloud, first: str) -> None:
    name = create(own, TEMPLATES)
    if first == "RUNNING":
        reach(own, name, first)

    finish_job(own.url, name)
    done = reach(own, name, *OVER)

    told = next(task for task in done["jobDetail"]["taskDetails"] if task["taskName"] != name.rpartition("/")[2])
    made = told["execution"]["metadata"]
    assert (state(done), told["state"], left_running(own, name)) == ("SUCCEEDED", "SUCCEEDED", [])
    [model] = own.models.list_models(parent=own.parent)
    assert made["output:model_resource_name"] == f"{model.name}@{model.version_id}"
    [endpoint] = own.endpoints.list_endpoints(parent=own.parent)
    assert made["output:endpoint_resource_name"] == endpoint.name
    assert [one.model for one in endpoint.deployed_models] == [model.name]


def test_a_spot_trial_is_preempted_and_runs_again(own: Cloud) -> None:
    order(own, STUDIES.method, {"preempt": True})
    name = create(own, STUDIES)
    trial = until(lambda: look(own, name).get("trials"), bool)[0]["customJob"]

    first = own.jobs.get_custom_job(name=trial)
    again = until(lambda: own.jobs.get_custom_job(name=trial), lambda found: found.start_time != first.start_time)
    finish_job(own.url, name, "JOB_STATE_CANCELLED")

    assert again.state.name in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING")
    assert state(reach(own, name, *OVER)) == "CANCELLED"


def test_only_custom_jobs_can_be_preempted_by_their_id(own: Cloud) -> None:
    name = create(own, PIPELINES)

    refused = httpx.post(f"{own.url}/emulator/jobs/{name.rpartition('/')[2]}:preempt", json={})

    assert (refused.status_code, "Custom jobs are preempted" in refused.text) == (400, True)


def test_a_deployment_fails_with_the_message_that_was_ordered_and_leaves_the_endpoint(own: Cloud) -> None:
    order(own, "EndpointService.DeployModel", {"fail": "The image cannot be pulled."})
    endpoint, model = own.endpoint(), own.model(image="test/stub")

    failed = own.deploy(endpoint, model, {"0": 100})
    error = until(lambda: (failed.done(), failed)[1].operation, lambda one: one.done).error
    own.deploy(endpoint, model, {"0": 100}).result()

    assert error.message == "The image cannot be pulled."
    assert len(own.read(endpoint).deployed_models) == 1


def test_a_deployment_finds_no_machine(own: Cloud) -> None:
    order(own, "EndpointService.DeployModel", {"stock_out": "run"})

    failed = own.deploy(own.endpoint(), own.model(image="test/stub"), {"0": 100})
    error = until(lambda: (failed.done(), failed)[1].operation, lambda one: one.done).error

    assert (error.code, "Resources are insufficient" in error.message) == (8, True)


def test_a_deployment_from_the_model_garden_fails_as_ordered(own: Cloud) -> None:
    order(own, "ModelGardenService.Deploy", {"fail": "Not today."})

    made = post(f"{own.url}/v1beta1/{own.parent}:deploy", {"publisherModelName": "publishers/google/models/gemma"})
    done = until(lambda: look(own, made["name"]), lambda found: found.get("done"))

    assert done["error"]["message"] == "Not today."
