"""kill -9 between two writes of one step: what was being made is there once, and what was finished is not lost."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.emulator.clients import until
from tests.emulator.images import STAND_INS
from tests.emulator_fixture import emulator_card, post, running_emulator, start_emulator

pytestmark = pytest.mark.slow

PARENT = "projects/p/locations/us-central1"
OPTIONS = ("--jobs-at-once", "2", "--stand-ins", json.dumps(STAND_INS))
TEMPLATE = "https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0"
TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
ROW = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}
ROWS = "gs://tuning-data/rows.jsonl"

Make = Callable[[str], None]


def open_model(url: str) -> None:
    spec = {"supervisedTuningSpec": {"trainingDatasetUri": ROWS}, "outputUri": "gs://tuning-data/out"}
    made(url, "v1beta1", "tuningJobs", {"baseModel": "meta/llama3_1@llama-3.1-8b", **spec})


def google_model(url: str) -> None:
    spec = {"trainingDatasetUri": ROWS, "exportLastCheckpointOnly": True}
    made(url, "v1beta1", "tuningJobs", {"baseModel": "gemini-2.5-flash", "supervisedTuningSpec": spec})


def template(url: str) -> None:
    values = {"project": "p", "model_display_name": "m", "dataset_uri": ROWS, "large_model_reference": "text-bison@002"}
    runtime = {"gcsOutputDirectory": "gs://tuning-data/out", "parameterValues": values}
    made(url, "v1", "pipelineJobs", {"displayName": "t", "runtimeConfig": runtime, "templateUri": TEMPLATE})


def training(url: str) -> None:
    pool = {
        "containerSpec": {"imageUri": "test/train", "args": ["echo"]},
        "machineSpec": {"machineType": "n1-standard-4"},
    }
    inputs = {"workerPoolSpecs": [pool], "baseOutputDirectory": {"outputUriPrefix": "gs://tuning-data/out"}}
    model = {"displayName": "m", "containerSpec": {"imageUri": "test/stub"}}
    body = {"trainingTaskDefinition": TASK, "trainingTaskInputs": inputs, "modelToUpload": model, "displayName": "t"}
    made(url, "v1", "trainingPipelines", body)


def made(url: str, version: str, collection: str, body: Mapping[str, Any]) -> None:
    post(f"{url}/{version}/{PARENT}/{collection}", body)


def listed(url: str, collection: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{url}/v1/{PARENT}/{collection}").json().get(collection, [])
    return found


@pytest.mark.parametrize(
    ("make", "owner", "owners", "kind", "collection"),
    [
        (open_model, "tuning", "tuningJobs", "model", "models"),
        (google_model, "tuning", "tuningJobs", "endpoint", "endpoints"),
        (template, "pipeline", "pipelineJobs", "model", "models"),
        (template, "pipeline", "pipelineJobs", "endpoint", "endpoints"),
        (training, "training", "trainingPipelines", "model", "models"),
        (training, "training", "trainingPipelines", "job", "customJobs"),
    ],
)
def test_what_was_being_made_at_a_kill_is_made_once(
    tmp_path: Path,
    programs: Mapping[str, Sequence[str] | str],
    make: Make,
    owner: str,
    owners: str,
    kind: str,
    collection: str,
) -> None:
    dying = ("-m", "tests.emulator.dying", kind, owner)
    server = start_emulator(tmp_path, programs, *OPTIONS, module=dying)
    url = emulator_card(tmp_path)["url"]
    post(f"{url}/storage/v1/b?project=p", {"name": "tuning-data"})
    post(f"{url}/upload/storage/v1/b/tuning-data/o?uploadType=media&name=rows.jsonl", ROW)
    with suppress(OSError, HTTPException):  # whether its answer still comes is not the question
        make(url)
    died = server.wait(60)

    with running_emulator(tmp_path, programs, *OPTIONS) as url:
        [one] = until(lambda: listed(url, owners), lambda rows: all("endTime" in row for row in rows), 60)
        found = listed(url, collection)

    assert died == -signal.SIGKILL
    assert one["state"].endswith("_SUCCEEDED"), one
    assert len(found) == 1
