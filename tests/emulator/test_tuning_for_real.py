"""Managed tuning by the real trainer, on a tiny model with random weights."""

from __future__ import annotations

import json
import struct
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.genai import types
from google.oauth2.credentials import Credentials

from tests.emulator.clients import until
from tests.emulator_fixture import post, running_emulator
from tests.images.serve.tiny import build_base

PARENT = "projects/real/locations/us-central1"


def tuned(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Create a tuning job and wait for its end."""
    return ended(url, post(f"{url}/v1beta1/{PARENT}/tuningJobs", body)["name"])


def distilled(url: str, prompts: str, output: str) -> dict[str, Any]:
    """The same for a distillation, as google-genai's users write it."""
    client = genai.Client(
        vertexai=True,
        project="real",
        location="us-central1",
        credentials=Credentials(token="x"),
        http_options=types.HttpOptions(base_url=url),
    )
    job = client.tunings.tune(
        base_model="qwen/qwen3@qwen3-4b",
        training_dataset=types.TuningDataset(gcs_uri=prompts),
        config=types.CreateTuningJobConfig(
            method="DISTILLATION",
            base_teacher_model="qwen/qwen3-next-80b-a3b-thinking-maas",
            epoch_count=3,
            batch_size=4,
            learning_rate=1e-3,
            tuning_mode="TUNING_MODE_PEFT_ADAPTER",
            validation_dataset=types.TuningValidationDataset(gcs_uri=prompts),
            output_uri=output,
        ),
    )
    client.close()
    return ended(url, job.name)


def ended(url: str, name: str) -> dict[str, Any]:
    """A tuning job that has succeeded."""

    def look() -> dict[str, Any]:
        with urllib.request.urlopen(f"{url}/v1beta1/{name}", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    done = until(look, lambda found: found["state"] not in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING"), 400)
    assert done["state"] == "JOB_STATE_SUCCEEDED", done
    return done


def metrics(content: bytes) -> dict[str, int]:
    """How many points each metric of an event file has."""
    found: dict[str, int] = {}
    while content:
        [size] = struct.unpack("<Q", content[:8])
        record = content[12 : 12 + size]
        content = content[16 + size :]
        for side in (b"train", b"eval"):
            for name in (b"total_loss", b"fraction_of_correct_next_step_preds", b"num_predictions"):
                tag = b"/" + side + b"_" + name
                if tag in record:
                    found[tag.decode()] = found.get(tag.decode(), 0) + 1
    return found


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore:The SDK.s tuning", "ignore::UserWarning", "ignore::DeprecationWarning")
def test_the_real_trainer_distils_a_stand_in_and_tunes_it_further_from_a_checkpoint(tmp_path: Path) -> None:
    base = tmp_path / "base"
    build_base(base)
    programs = {"loraform/train": [sys.executable, "-m", "images.train"]}
    options = ("--stand-ins", json.dumps({"*": str(base)}))
    rows = "".join(json.dumps({"input_text": f"say {n}", "output_text": "yes"}) + "\n" for n in range(8))

    with running_emulator(tmp_path / "state", programs, *options) as url:
        client = storage.Client("p", credentials=AnonymousCredentials(), client_options={"api_endpoint": url})
        bucket = client.create_bucket("real")
        bucket.blob("prompts.jsonl").upload_from_string(rows)
        first = distilled(url, "gs://real/prompts.jsonl", "gs://real/out")
        [events] = list(bucket.list_blobs(prefix="out/postprocess/node-0/metrics/"))
        points = metrics(events.download_as_bytes())
        hyper = {"epochCount": 3, "batchSize": 4, "learningRate": 1e-3}
        again = {"trainingDatasetUri": "gs://real/prompts.jsonl", "hyperParameters": hyper}
        asked = {"tunedModelName": first["tunedModel"]["model"], "checkpointId": "2"}
        tuned(url, {"preTunedModel": asked, "supervisedTuningSpec": again, "outputUri": "gs://real/more"})
        names = {blob.name for blob in bucket.list_blobs()}
        adapter = json.loads(
            bucket.blob("more/postprocess/node-0/checkpoints/final/adapter_config.json").download_as_bytes()
        )
        client.close()

    place = "out/postprocess/node-0/checkpoints"
    assert {f"{place}/{one}/adapter_model.safetensors" for one in ("final", "checkpoint-1", "checkpoint-2")} <= names
    assert f"{place}/checkpoint-3/adapter_model.safetensors" not in names
    assert [(one["epoch"], one["step"]) for one in first["tunedModel"]["checkpoints"]] == [
        ("1", "2"),
        ("2", "4"),
        ("3", "6"),
    ]
    assert "out/distillation_labelled_dataset.jsonl" in names
    assert first["tuningDataStats"]["distillationDataStats"]["trainingDatasetStats"]["userInputTokenDistribution"]
    assert points == {
        "/train_total_loss": 6,
        "/train_fraction_of_correct_next_step_preds": 6,
        "/train_num_predictions": 6,
        "/eval_total_loss": 3,
        "/eval_fraction_of_correct_next_step_preds": 3,
        "/eval_num_predictions": 3,
    }
    assert adapter["base_model_name_or_path"] == "gs://real/more/postprocess/node-0/base"
    assert "more/postprocess/node-0/base/model.safetensors" in names
