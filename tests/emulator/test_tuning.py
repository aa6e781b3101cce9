"""Tuning jobs through google-genai, vertexai.tuning and GAPIC, on a trainer that learns nothing and tells all."""

from __future__ import annotations

import json
import struct
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.api_core import exceptions
from google.cloud import aiplatform
from google.cloud import aiplatform_v1 as v1
from google.genai import types
from google.genai.errors import ServerError
from google.oauth2.credentials import Credentials

from reconciler.emulator.wire.codec import snake
from tests.emulator.buckets import Bucket
from tests.emulator.clients import Cloud, client, until
from tests.emulator_fixture import post

FINAL = "out/postprocess/node-0/checkpoints/final/told.json"
ROW = '{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}\n'
CHAT = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
OVER = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED")
LLAMA = "meta/llama3_1@llama-3.1-8b"


def read(cloud: Cloud, name: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{cloud.url}/v1beta1/{name}", timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def create(cloud: Cloud, body: dict[str, Any], version: str = "v1beta1") -> dict[str, Any]:
    made: dict[str, Any] = post(f"{cloud.url}/{version}/{cloud.parent}/tuningJobs", body)
    return made


def ended(cloud: Cloud, name: str) -> dict[str, Any]:
    return until(lambda: read(cloud, name), lambda found: found["state"] in OVER, 60)


def supervised(uri: str, **fields: Any) -> dict[str, Any]:
    return {"baseModel": LLAMA, "supervisedTuningSpec": {"trainingDatasetUri": uri}, **fields}


@pytest.fixture
def tunings(cloud: Cloud) -> Iterator[Any]:
    project = cloud.parent.split("/")[1]
    made = genai.Client(
        vertexai=True,
        project=project,
        location="us-central1",
        credentials=Credentials(token="x"),
        http_options=types.HttpOptions(base_url=cloud.url),
    )
    yield made.tunings
    made.close()


@pytest.mark.filterwarnings("ignore:The SDK.s tuning", "ignore::UserWarning", "ignore::DeprecationWarning")
def test_google_genai_tunes_an_open_model_and_the_artifact_lies_where_the_documentation_says(
    cloud: Cloud, bucket: Bucket, tunings: Any
) -> None:
    objects = bucket("tuned-by-genai")
    uri = objects.write("train.jsonl", ROW)

    job = tunings.tune(
        base_model=LLAMA,
        training_dataset=types.TuningDataset(gcs_uri=uri),
        config=types.CreateTuningJobConfig(
            epoch_count=2,
            tuning_mode="TUNING_MODE_PEFT_ADAPTER",
            adapter_size="ADAPTER_SIZE_EIGHT",
            learning_rate=0.001,
            batch_size=4,
            output_uri="gs://tuned-by-genai/out",
            tuned_model_display_name="a llama",
        ),
    )
    done = until(lambda: tunings.get(name=job.name), lambda found: found.has_ended, 60)

    assert done.state.name == "JOB_STATE_SUCCEEDED", done.error
    spec = objects.json(FINAL)["spec"]
    assert (spec["method"], spec["adapter"], spec["model"]) == (
        "lora",
        {"r": 8, "lora_alpha": 16},
        {"base": "/models/llama"},
    )
    assert (spec["training"]["num_train_epochs"], spec["training"]["learning_rate"]) == (2, 0.001)
    assert spec["training"]["per_device_train_batch_size"] == 4
    told = [(one.checkpoint_id, one.epoch, one.step, one.endpoint) for one in done.tuned_model.checkpoints]
    assert told == [("1", 1, 1, None), ("2", 2, 2, None)]
    model = cloud.models.get_model(name=done.tuned_model.model)
    assert (model.display_name, model.artifact_uri) == ("a llama", f"gs://tuned-by-genai/{FINAL.rpartition('/')[0]}")
    assert [one.name for one in tunings.list()] == [job.name]


@pytest.mark.filterwarnings("ignore:The SDK.s tuning", "ignore::UserWarning", "ignore::DeprecationWarning")
def test_google_genai_distils_as_it_sends_it(cloud: Cloud, bucket: Bucket, tunings: Any) -> None:
    uri = bucket("distilled").write("prompts.jsonl", '{"prompt": "hi"}\n')

    job = tunings.tune(
        base_model="qwen/qwen3@qwen3-4b",
        training_dataset=types.TuningDataset(gcs_uri=uri),
        config=types.CreateTuningJobConfig(
            method="DISTILLATION",
            base_teacher_model="qwen/qwen3-next-80b-a3b-thinking-maas",
            epoch_count=3,
            batch_size=2,
            learning_rate=1e-4,
            tuning_mode="TUNING_MODE_PEFT_ADAPTER",
            validation_dataset=types.TuningValidationDataset(gcs_uri=uri),
            output_uri="gs://distilled/out",
        ),
    )
    done = until(lambda: tunings.get(name=job.name), lambda found: found.has_ended, 60)

    kept = read(cloud, job.name)["distillationSpec"]
    assert kept["promptDatasetUri"] == uri
    assert kept["tuningMode"] == "TUNING_MODE_PEFT_ADAPTER"
    assert (kept["hyperParameters"]["batchSize"], kept["hyperParameters"]["learningRate"]) == (2, 1e-4)
    assert done.state.name == "JOB_STATE_FAILED"
    assert "qwen3-next-80b-a3b-thinking-maas" in done.error.message
    assert "--stand-ins" in done.error.message


@pytest.fixture
def sdk(cloud: Cloud) -> Iterator[None]:
    aiplatform.init(
        project=cloud.parent.split("/")[1],
        location="us-central1",
        api_endpoint=cloud.url,
        api_transport="rest",
        credentials=Credentials(token="x"),
    )
    yield
    aiplatform.initializer.global_config.__init__()


@pytest.mark.usefixtures("sdk")
@pytest.mark.filterwarnings("ignore:The SDK.s tuning", "ignore::UserWarning", "ignore::DeprecationWarning")
def test_sft_train_tunes_a_custom_base_in_full(cloud: Cloud, bucket: Bucket) -> None:
    with warnings.catch_warnings(action="ignore"):
        from vertexai.tuning import SourceModel, sft
    objects = bucket("tuned-by-sft")
    uri = objects.write("train.jsonl", ROW)

    job = sft.train(
        source_model=SourceModel(base_model=LLAMA, custom_base_model="gs://tuned-by-sft/base"),
        tuning_mode="FULL",
        epochs=3,
        train_dataset=uri,
        validation_dataset=uri,
        output_uri="gs://tuned-by-sft/out",
    )
    done = ended(cloud, job.resource_name)

    assert done["state"] == "JOB_STATE_SUCCEEDED", done
    assert job.refresh().has_succeeded
    assert job.experiment.name == done["experiment"].rpartition("/")[2]
    told = objects.json(FINAL)
    assert (told["spec"]["method"], told["spec"]["model"]) == ("full", {"base": "gs://tuned-by-sft/base"})
    assert (told["train"], told["eval"]) == ([CHAT], [CHAT])


def test_a_google_model_is_tuned_and_served_at_an_endpoint_of_its_own(cloud: Cloud, bucket: Bucket) -> None:
    text = '{"systemInstruction": {"parts": [{"text": "be kind"}]}, "contents": [{"role": "user", "parts": '
    text += '[{"text": "hi"}]}, {"role": "model", "parts": [{"text": "ho"}]}]}\n'
    uri = bucket("tuned-gemini").write("train.jsonl", text)
    tuning = client(cloud.url, v1.GenAiTuningServiceClient)
    spec = v1.SupervisedTuningSpec(training_dataset_uri=uri)

    job = tuning.create_tuning_job(
        parent=cloud.parent,
        tuning_job=v1.TuningJob(
            base_model="gemini-2.5-flash", supervised_tuning_spec=spec, tuned_model_display_name="kind"
        ),
    )
    done = until(lambda: tuning.get_tuning_job(name=job.name), lambda found: found.state.name in OVER, 60)

    assert done.state.name == "JOB_STATE_SUCCEEDED", done.error
    endpoint = cloud.endpoints.get_endpoint(name=done.tuned_model.endpoint)
    assert (endpoint.display_name, len(endpoint.deployed_models)) == ("kind", 1)
    assert job.supervised_tuning_spec.hyper_parameters.epoch_count == 3
    assert [one.name for one in tuning.list_tuning_jobs(parent=cloud.parent)] == [job.name]


def test_a_tuned_model_is_tuned_further(cloud: Cloud, bucket: Bucket) -> None:
    objects = bucket("tuned-twice")
    uri = objects.write("train.jsonl", ROW)
    first = ended(cloud, create(cloud, supervised(uri, outputUri="gs://tuned-twice/one"))["name"])

    body = supervised(
        uri, outputUri="gs://tuned-twice/out", preTunedModel={"tunedModelName": first["tunedModel"]["model"]}
    )
    del body["baseModel"]
    second = ended(cloud, create(cloud, body)["name"])

    assert second["state"] == "JOB_STATE_SUCCEEDED", second
    assert second["preTunedModel"]["baseModel"] == LLAMA
    assert objects.json(FINAL)["spec"]["model"]["base"] == "gs://tuned-twice/one/postprocess/node-0/checkpoints/final"


def test_the_last_checkpoint_alone_is_exported_when_that_is_asked_for(cloud: Cloud, bucket: Bucket) -> None:
    objects = bucket("tuned-last")
    uri = objects.write("train.jsonl", ROW)
    body = supervised(uri, outputUri="gs://tuned-last/out")
    body["supervisedTuningSpec"]["exportLastCheckpointOnly"] = True

    done = ended(cloud, create(cloud, body)["name"])

    assert [one["checkpointId"] for one in done["tunedModel"]["checkpoints"]] == ["1"]
    assert "checkpoints" not in objects.json(FINAL)["spec"]["output"]


def test_every_checkpoint_of_a_google_model_is_served_and_the_last_is_the_default(cloud: Cloud, bucket: Bucket) -> None:
    uri = bucket("tuned-checkpoints").write("train.jsonl", ROW)
    body = supervised(uri, baseModel="gemini-2.5-flash", tunedModelDisplayName="kind")

    tuned = ended(cloud, create(cloud, body)["name"])["tunedModel"]
    shown = [cloud.endpoints.get_endpoint(name=one["endpoint"]) for one in tuned["checkpoints"]]
    model = cloud.models.get_model(name=tuned["model"])

    assert [(one["checkpointId"], one["epoch"]) for one in tuned["checkpoints"]] == [("1", "1"), ("2", "3")]
    assert tuned["endpoint"] == tuned["checkpoints"][-1]["endpoint"]
    assert [one.display_name for one in shown] == ["kind checkpoint 1", "kind"]
    assert [one.deployed_models[0].checkpoint_id for one in shown] == ["1", ""]
    assert [model.default_checkpoint_id, len(model.checkpoints)] == ["2", 2]


def test_tuning_goes_on_from_a_checkpoint(cloud: Cloud, bucket: Bucket) -> None:
    objects = bucket("tuned-from-checkpoint")
    uri = objects.write("train.jsonl", ROW)
    place = "gs://tuned-from-checkpoint"
    first = ended(cloud, create(cloud, supervised(uri, outputUri=f"{place}/one"))["name"])
    asked = {"tunedModelName": first["tunedModel"]["model"], "checkpointId": "1"}
    body = supervised(uri, outputUri=f"{place}/out", preTunedModel=asked)
    del body["baseModel"]

    ended(cloud, create(cloud, body)["name"])

    used = objects.json(FINAL)["spec"]["model"]["base"]
    assert used == f"{place}/one/postprocess/node-0/checkpoints/checkpoint-1"
    with pytest.raises(urllib.error.HTTPError) as refused:
        create(cloud, {**body, "preTunedModel": {**asked, "checkpointId": "9"}})
    with refused.value:
        assert "has no checkpoint 9. Its checkpoints: 1, 2." in refused.value.read().decode()


def test_a_job_tells_of_its_data_and_its_experiment(cloud: Cloud, bucket: Bucket) -> None:
    uri = bucket("tuned-statistics").write("train.jsonl", ROW * 3)

    done = ended(cloud, create(cloud, supervised(uri, outputUri="gs://tuned-statistics/out"))["name"])
    told = done["tuningDataStats"]["supervisedTuningDataStats"]

    assert "/metadataStores/default/contexts/tuning-experiment-" in done["experiment"]
    assert (told["tuningDatasetExampleCount"], told["totalTuningCharacterCount"]) == ("3", "12")
    assert told["tuningStepCount"] == "2"
    assert told["userMessagePerExampleDistribution"]["mean"] == 2
    assert told["userDatasetExamples"][0] == {"role": "user", "parts": [{"text": "hi"}]}


def test_the_metrics_are_tensorboard_events_under_their_documented_names(cloud: Cloud, bucket: Bucket) -> None:
    objects = bucket("tuned-metrics")
    uri = objects.write("train.jsonl", ROW)
    ended(cloud, create(cloud, supervised(uri, outputUri="gs://tuned-metrics/out"))["name"])

    [name] = objects.names("out/postprocess/node-0/metrics/")
    content = objects.bucket.blob(name).download_as_bytes()
    records = []
    while content:
        [size] = struct.unpack("<Q", content[:8])
        records.append(content[12 : 12 + size])
        content = content[16 + size :]

    assert b"brain.Event:2" in records[0]
    assert [b"/train_total_loss" in one for one in records[1:]] == [True, True, False]
    assert b"/eval_total_loss" in records[3]
    assert struct.pack("<f", 2.5) in records[1]


def test_a_row_that_cannot_be_learnt_from_fails_the_job_with_file_and_line(cloud: Cloud, bucket: Bucket) -> None:
    uri = bucket("bad-rows").write("train.jsonl", ROW + '{"question": "hi"}\n')

    done = ended(cloud, create(cloud, supervised(uri, outputUri="gs://bad-rows/out"))["name"])

    assert done["state"] == "JOB_STATE_FAILED"
    assert "train.jsonl:2: none of the known formats" in done["error"]["message"]


def test_a_base_model_without_a_stand_in_fails_and_says_how_to_name_one(cloud: Cloud) -> None:
    done = ended(cloud, create(cloud, supervised("gs://b/t.jsonl", baseModel="meta/unknown@1"))["name"])

    assert done["state"] == "JOB_STATE_FAILED"
    assert "--stand-ins" in done["error"]["message"]
    assert "meta/unknown@1" in done["error"]["message"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"supervisedTuningSpec": {}}, "tuning_job.supervised_tuning_spec.training_dataset_uri"),
        ({"supervisedTuningSpec": {"trainingDatasetUri": "train.jsonl"}}, "must be a Cloud Storage address"),
        ({"colour": "red"}, "colour"),
        ({"baseModel": ""}, "tuning_job.base_model"),
        ({"labels": {"Team": "x"}}, "Label keys and values"),
    ],
)
def test_a_malformed_tuning_job_is_refused_by_field(cloud: Cloud, change: dict[str, Any], named: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        create(cloud, supervised("gs://b/t.jsonl", **change))

    error = json.load(refused.value)["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert named in error["message"]


@pytest.mark.parametrize(
    "spec",
    [
        "preferenceOptimizationSpec", "preference_optimization_spec", "reinforcementTuningSpec", "fullFineTuningSpec",
        "partnerModelTuningSpec", "veoTuningSpec", "veoLoraTuningSpec",
    ],
)  # fmt: skip
def test_a_way_of_tuning_that_is_not_run_here_is_refused_by_its_name(cloud: Cloud, spec: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        create(cloud, {"baseModel": LLAMA, spec: {"trainingDatasetUri": "gs://b/t.jsonl"}})

    error = json.load(refused.value)["error"]
    assert (error["code"], error["status"]) == (501, "UNIMPLEMENTED")
    assert f"tuning_job.{snake(spec)}; it runs supervised_tuning_spec and distillation_spec" in error["message"]


@pytest.mark.filterwarnings("ignore:The SDK.s tuning", "ignore::UserWarning", "ignore::DeprecationWarning")
def test_preference_tuning_by_google_genai_is_refused_by_its_name(tunings: Any) -> None:
    config = types.CreateTuningJobConfig(method="PREFERENCE_TUNING", epoch_count=1)

    with pytest.raises(ServerError, match="preference_optimization_spec; it runs") as refused:
        tunings.tune(base_model=LLAMA, training_dataset=types.TuningDataset(gcs_uri="gs://b/t.jsonl"), config=config)

    assert refused.value.code == 501


def test_a_cancelled_tuning_job_ends_and_tuning_jobs_are_not_deleted(cloud: Cloud) -> None:
    tuning = client(cloud.url, v1.GenAiTuningServiceClient)
    name = create(cloud, supervised("gs://no-such-bucket/t.jsonl"))["name"]

    tuning.cancel_tuning_job(name=name)
    done = ended(cloud, name)

    assert done["state"] in ("JOB_STATE_CANCELLED", "JOB_STATE_FAILED")
    with pytest.raises(exceptions.NotFound):
        tuning.get_tuning_job(name=f"{cloud.parent}/tuningJobs/1")
