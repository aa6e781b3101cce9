"""One managed tuning by the real trainer, on a tiny model with random weights."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tests.emulator.clients import until
from tests.emulator_fixture import post, running_emulator
from tests.images.serve.tiny import build_base

PARENT = "projects/real/locations/us-central1"


@pytest.mark.heavy
def test_the_real_trainer_distils_a_stand_in_and_leaves_an_adapter(tmp_path: Path) -> None:
    base = tmp_path / "base"
    build_base(base)
    programs = {"loraform/train": [sys.executable, "-m", "images.train"]}
    options = ("--stand-ins", json.dumps({"*": str(base)}))
    rows = "".join(json.dumps({"input_text": f"say {n}", "output_text": "yes"}) + "\n" for n in range(8))

    with running_emulator(tmp_path / "state", programs, *options) as url:
        client = storage.Client("p", credentials=AnonymousCredentials(), client_options={"api_endpoint": url})
        bucket = client.create_bucket("real")
        bucket.blob("prompts.jsonl").upload_from_string(rows)
        hyper = {"epochCount": 1, "batchSize": 4, "learningRate": 1e-3}
        spec = {"promptDatasetUri": "gs://real/prompts.jsonl", "hyperParameters": hyper, "baseTeacherModel": "teacher"}
        spec |= {"tuningMode": "TUNING_MODE_PEFT_ADAPTER", "validationDatasetUri": "gs://real/prompts.jsonl"}
        body = {"baseModel": "student", "distillationSpec": spec, "outputUri": "gs://real/out"}
        name = post(f"{url}/v1beta1/{PARENT}/tuningJobs", body)["name"]

        def look() -> dict[str, object]:
            with urllib.request.urlopen(f"{url}/v1beta1/{name}", timeout=30) as answer:
                found: dict[str, object] = json.load(answer)
            return found

        done = until(look, lambda found: found["state"] not in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING"), 300)
        names = [blob.name for blob in bucket.list_blobs(prefix="out/")]
        client.close()

    assert done["state"] == "JOB_STATE_SUCCEEDED", done
    assert "out/postprocess/node-0/checkpoints/final/adapter_model.safetensors" in names
    assert "out/distillation_labelled_dataset.jsonl" in names
    assert any(name.startswith("out/postprocess/node-0/metrics/events.out.tfevents.") for name in names)
