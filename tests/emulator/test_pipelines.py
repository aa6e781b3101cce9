"""Pipeline jobs: an inline spec whose containers really run, and Google's tuning template by its address."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud import aiplatform_v1 as v1

from tests.emulator.buckets import Bucket
from tests.emulator.clients import Cloud, client, until
from tests.emulator_fixture import post

OVER = ("PIPELINE_STATE_SUCCEEDED", "PIPELINE_STATE_FAILED", "PIPELINE_STATE_CANCELLED")
WRITE = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"
TEXT_TEMPLATE = "https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0"


def spec(first: str = WRITE) -> dict[str, Any]:
    """Two containers, the second of which takes what the first puts out."""
    text = {"parameterType": "STRING"}
    say, twice = {"executorLabel": "exec-say"}, {"executorLabel": "exec-twice"}
    passed = {"taskOutputParameter": {"producerTask": "say", "outputParameterKey": "said"}}
    value = "{{$.inputs.parameters['word']}}"
    return {
        "pipelineInfo": {"name": "greet"},
        "root": {
            "inputDefinitions": {
                "parameters": {"word": text, "times": {"parameterType": "NUMBER_INTEGER", "defaultValue": 2}}
            },
            "dag": {
                "tasks": {
                    "twice": {
                        "componentRef": {"name": "twice"},
                        "dependentTasks": ["say"],
                        "inputs": {"parameters": {"word": passed, "times": {"componentInputParameter": "times"}}},
                    },
                    "say": {
                        "componentRef": {"name": "say"},
                        "inputs": {"parameters": {"word": {"componentInputParameter": "word"}}},
                    },
                }
            },
        },
        "components": {
            "say": {**say, "outputDefinitions": {"parameters": {"said": text}}},
            "twice": {**twice, "outputDefinitions": {"parameters": {"all": {"parameterType": "NUMBER_INTEGER"}}}},
        },
        "deploymentSpec": {
            "executors": {
                "exec-say": {
                    "container": {
                        "image": "x",
                        "command": ["python", "-c", first],
                        "args": ["{{$.outputs.parameters['said'].output_file}}", f"say {value}"],
                    }
                },
                "exec-twice": {
                    "container": {
                        "image": "x",
                        "command": [
                            "python",
                            "-c",
                            "import sys; open(sys.argv[1], 'w').write(str(len(sys.argv[2])*int(sys.argv[3])))",
                        ],
                        "args": [
                            "{{$.outputs.parameters['all'].output_file}}",
                            value,
                            "{{$.inputs.parameters['times']}}",
                        ],
                    }
                },
            }
        },
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.14.0",
    }


def start(cloud: Cloud, name: str = "", compiled: dict[str, Any] | None = None, **parameters: Any) -> Any:
    job = v1.PipelineJob(
        display_name="a pipeline",
        pipeline_spec=compiled or spec(),
        runtime_config={"gcs_output_directory": "gs://bucket/root", "parameter_values": parameters},
    )
    return pipelines(cloud).create_pipeline_job(parent=cloud.parent, pipeline_job=job, pipeline_job_id=name or None)


def pipelines(cloud: Cloud) -> Any:
    return client(cloud.url, v1.PipelineServiceClient)


def ended(cloud: Cloud, job: Any) -> Any:
    look = pipelines(cloud)
    return until(lambda: look.get_pipeline_job(name=job.name), lambda found: found.state.name in OVER, 60)


def outputs(job: Any) -> dict[str, Any]:
    return {
        task.task_name: {key: value for key, value in task.execution.metadata.items() if key.startswith("output:")}
        for task in job.job_detail.task_details
        if task.parent_task_id
    }


def test_containers_of_an_inline_spec_run_in_order_with_their_placeholders_resolved(cloud: Cloud) -> None:
    job = start(cloud, word="hi")

    done = ended(cloud, job)

    assert done.state.name == "PIPELINE_STATE_SUCCEEDED", done.error
    assert outputs(done) == {"say": {"output:said": "say hi"}, "twice": {"output:all": 12}}
    assert [task.state.name for task in done.job_detail.task_details] == ["SUCCEEDED"] * 3
    main = done.job_detail.task_details[1].executor_detail.container_detail.main_job
    assert cloud.jobs.get_custom_job(name=main).state == v1.JobState.JOB_STATE_SUCCEEDED


def test_defaults_and_the_default_service_account_are_filled_in(cloud: Cloud) -> None:
    job = start(cloud, "greet-1", word="hi")

    number = job.name.split("/")[1]
    assert job.name.endswith("/pipelineJobs/greet-1")
    assert job.runtime_config.parameter_values["times"] == 2
    assert job.service_account == f"{number}-compute@developer.gserviceaccount.com"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"word": "hi", "colour": "red"}, "The pipeline parameter colour is not found"),
        ({}, "The pipeline parameter word is required"),
        ({"word": 3}, "The pipeline parameter word must be of type STRING"),
        ({"word": "hi", "times": 1.5}, "The pipeline parameter times must be of type NUMBER_INTEGER"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused_by_name(cloud: Cloud, values: Any, named: str) -> None:
    with pytest.raises(exceptions.BadRequest, match=named) as refused:
        start(cloud, **values)

    assert refused.value.response.json()["error"]["status"] == "INVALID_ARGUMENT"


def test_a_failed_task_fails_the_pipeline_and_what_waits_for_it_is_not_triggered(cloud: Cloud) -> None:
    job = start(cloud, compiled=spec("import sys; sys.exit('no words left')"), word="hi")

    done = ended(cloud, job)

    states = {task.task_name: task.state.name for task in list(done.job_detail.task_details)[1:]}
    assert done.state.name == "PIPELINE_STATE_FAILED"
    assert "no words left" in done.error.message
    assert states == {"say": "FAILED", "twice": "NOT_TRIGGERED"}


def test_a_cancelled_pipeline_ends_its_containers_and_can_be_deleted(cloud: Cloud) -> None:
    job = start(cloud, compiled=spec("import time; time.sleep(600)"), word="hi")
    look = pipelines(cloud)
    until(lambda: look.get_pipeline_job(name=job.name), lambda found: len(found.job_detail.task_details) == 2)
    with pytest.raises(exceptions.BadRequest, match="still running"):
        look.delete_pipeline_job(name=job.name)

    look.cancel_pipeline_job(name=job.name)
    done = ended(cloud, job)
    look.delete_pipeline_job(name=job.name).result()

    assert done.state.name == "PIPELINE_STATE_CANCELLED"
    with pytest.raises(exceptions.NotFound):
        look.get_pipeline_job(name=job.name)


def test_a_taken_id_is_refused(cloud: Cloud) -> None:
    start(cloud, "same", word="hi")

    with pytest.raises(exceptions.Conflict):
        start(cloud, "same", word="hi")


def test_pipelines_are_listed_by_filter_and_order_without_details_and_by_mask(cloud: Cloud) -> None:
    first, second = start(cloud, "run-a", word="hi"), start(cloud, "run-b", word="hi")
    ended(cloud, second)
    look = pipelines(cloud)

    def names(**request: Any) -> list[str]:
        found = look.list_pipeline_jobs(request={"parent": cloud.parent, **request})
        return [job.name.rsplit("/", 1)[-1] for job in found]

    [masked] = look.list_pipeline_jobs(
        request={"parent": cloud.parent, "filter": 'pipeline_job_user_id="run-a"', "read_mask": "name,state"}
    )
    assert names(filter='pipeline_name="greet"') == ["run-b", "run-a"]
    assert names(order_by="create_time") == ["run-a", "run-b"]
    assert names(filter='pipeline_job_user_id="run-*"', order_by="create_time desc") == ["run-b", "run-a"]
    assert names(filter='display_name="another"') == []
    assert (masked.name, masked.display_name) == (first.name, "")
    assert not any(job.job_detail.task_details for job in look.list_pipeline_jobs(parent=cloud.parent))


def test_what_is_not_run_here_is_refused_by_name(cloud: Cloud) -> None:
    compiled = spec()
    compiled["root"]["dag"]["tasks"]["twice"]["triggerPolicy"] = {"condition": "true"}

    with pytest.raises(exceptions.MethodNotImplemented, match="The task twice runs on a condition"):
        start(cloud, compiled=compiled, word="hi")


@pytest.fixture
def sdk(url: str) -> Iterator[None]:
    credentials = AnonymousCredentials()
    aiplatform.init(
        project="pipes", location="us-central1", api_endpoint=url, api_transport="rest", credentials=credentials
    )
    yield
    aiplatform.initializer.global_config.__init__()


@pytest.mark.usefixtures("sdk")
def test_a_pipeline_of_the_sdk_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    (tmp_path / "greet.json").write_text(json.dumps(spec()), encoding="utf-8")
    job = aiplatform.PipelineJob(
        display_name="of the sdk",
        template_path=str(tmp_path / "greet.json"),
        pipeline_root="gs://pipes-bucket/root",
        parameter_values={"word": "hello", "times": 3},
        location="us-central1",
    )

    job.submit(service_account="runner@pipes.iam.gserviceaccount.com")
    state = until(lambda: job.state.name, lambda name: name in OVER, 60)

    assert state == "PIPELINE_STATE_SUCCEEDED"
    assert job.gca_resource.service_account == "runner@pipes.iam.gserviceaccount.com"
    assert outputs(job.gca_resource)["twice"] == {"output:all": 27}
    assert [one.display_name for one in aiplatform.PipelineJob.list(filter='pipeline_name="greet"')] == ["of the sdk"]


def tune(url: str, parent: str, **values: Any) -> Any:
    """The documentation's POST, by a plain HTTP client."""
    body = {
        "displayName": "tune-llm",
        "runtimeConfig": {
            "gcsOutputDirectory": "gs://template-bucket/out",
            "parameterValues": {
                "project": "p",
                "model_display_name": "my-model",
                "dataset_uri": "gs://template-bucket/train.jsonl",
                "location": "europe-west4",
                "large_model_reference": "text-bison@002",
                "train_steps": 20,
                "learning_rate_multiplier": 1,
                **values,
            },
        },
        "encryptionSpec": {"kmsKeyName": "projects/p/locations/us-central1/keyRings/k/cryptoKeys/k"},
        "templateUri": TEXT_TEMPLATE,
    }
    return post(f"{url}/v1/{parent}/pipelineJobs?pipelineJobId=tune-large-model-1", body)


def test_the_tuning_template_tunes_a_stand_in_registers_and_serves_it(cloud: Cloud, bucket: Bucket) -> None:
    rows = bucket("template-bucket")
    rows.write("train.jsonl", '{"input_text": "5 stocks to buy now", "output_text": "business"}\n')

    posted = tune(
        cloud.url, cloud.parent, evaluation_data_uri="gs://template-bucket/train.jsonl", accelerator_type="TPU"
    )
    done = ended(cloud, v1.PipelineJob(name=posted["name"]))

    assert done.state.name == "PIPELINE_STATE_SUCCEEDED", done.error
    told = rows.json("out/tune-large-model-1/postprocess/node-0/checkpoints/final/told.json")
    turns = [{"role": "user", "content": "5 stocks to buy now"}, {"role": "assistant", "content": "business"}]
    assert (told["train"], told["eval"], told["spec"]["model"]) == ([turns], [turns], {"base": "/models/text"})
    assert (told["spec"]["training"]["max_steps"], told["spec"]["training"]["per_device_train_batch_size"]) == (20, 24)
    assert done.runtime_config.parameter_values["enable_early_stopping"] is True
    assert done.template_metadata.version == "v2.0.0"
    found = outputs(done)["large-language-model-tuner"]
    assert "/locations/europe-west4/models/" in found["output:model_resource_name"]
    endpoint = cloud.endpoints.get_endpoint(name=found["output:endpoint_resource_name"])
    assert (endpoint.display_name, len(endpoint.deployed_models)) == ("my-model", 1)


def test_a_misspelt_parameter_of_the_template_is_refused_by_name(url: str, parent: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        tune(url, parent, **{"accelerator_type:": "GPU"})

    error = json.load(refused.value)["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert "The pipeline parameter accelerator_type: is not found" in error["message"]


def test_a_model_without_a_stand_in_fails_and_says_how_to_name_one(cloud: Cloud) -> None:
    posted = tune(cloud.url, cloud.parent, large_model_reference="text-unicorn@001")

    done = ended(cloud, v1.PipelineJob(name=posted["name"]))

    assert done.state.name == "PIPELINE_STATE_FAILED"
    assert "--stand-ins" in done.error.message
    assert "text-unicorn@001" in done.error.message
