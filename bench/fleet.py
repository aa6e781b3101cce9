"""A repository of many small experiments and the embedded Vertex AI that holds all of them, trained and served.

Nothing is trained: the jobs are ended from outside, their run records written as the trainer would, servers are stubs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from schemas.run_record import Counts, RunRecord, metadata_of
from schemas.training_spec import TrainingSpec
from tests.emulator_fixture import emulator_card, finish_job

LORAFORM = str(Path(sys.executable).with_name("loraform"))
STATE = Path(".loraform/vertex")
PROGRAMS = {"loraform/train": "hold", "loraform/serve": "stub"}
JOBS = "v1/projects/loraform-local/locations/us-central1/customJobs"
OBJECTS = 3
"""Live objects of one experiment: a job, a model, and an endpoint with its deployment."""

PROJECT = """\
apiVersion: loraform/v1
kind: Project
fleet: bench
policy: {max_new_runs: 100000, max_new_gpus: 1000000}
"""
EXPERIMENT = """\
apiVersion: loraform/v1
kind: Experiment
name: bot-NUMBER
owner: team-NUMBER
description: An experiment like many.
model: {base: ./base}
data: {train: rows.jsonl, format: messages}
adapter: {method: lora, r: 16, lora_alpha: 32, target_modules: all-linear}
training:
  num_train_epochs: 3
  per_device_train_batch_size: 8
  learning_rate: 2e-4
  lr_scheduler_type: cosine
  seed: NUMBER
run:
  machine: {machine_type: g2-standard-12, accelerator_type: NVIDIA_L4, accelerator_count: 1}
serving:
  machine: {machine_type: g2-standard-12, accelerator_type: NVIDIA_L4, accelerator_count: 1}
  max_replica_count: 1
  engine: {max_model_len: 512}
  generation: {max_tokens: 32}
"""


def write_repository(root: Path, size: int) -> None:
    """`size` experiments on one small base and one file of rows."""
    (root / "experiments").mkdir(parents=True)
    (root / "base").mkdir()
    (root / "base/config.json").write_text('{"model_type": "llama"}')
    (root / "rows.jsonl").write_text('{"messages": []}\n' * 3)
    (root / "loraform.yaml").write_text(PROJECT)
    for number in range(1, size + 1):
        (root / f"experiments/bot-{number}.yaml").write_text(EXPERIMENT.replace("NUMBER", str(number)))


def bring_in_sync(root: Path, size: int) -> None:
    """Apply, end what was started, and apply again until there is nothing to do. Raises `AssertionError` if never."""
    url = emulator_card(root / STATE)["url"]
    finished: set[str] = set()
    for _ in range(30):
        done = loraform(root, "apply", "--allow-runs", str(size))
        with ThreadPoolExecutor(4) as pool:
            running = [job for job in _jobs(url) if job["name"] not in finished]
            finished.update(pool.map(lambda job: _finish(url, job), running))
        if loraform(root, "plan").returncode == 0 and not running:
            return
    raise AssertionError(f"the fleet did not come in sync: {done.stdout}{done.stderr}")


def loraform(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, in the repository."""
    return subprocess.run([LORAFORM, *words], cwd=root, capture_output=True, text=True, check=False)


def _jobs(url: str) -> Iterator[Mapping[str, Any]]:
    token = ""
    while True:
        with urllib.request.urlopen(f"{url}/{JOBS}?pageSize=100&pageToken={token}", timeout=60) as answer:
            page = json.load(answer)
        yield from page.get("customJobs", ())
        token = page.get("nextPageToken", "")
        if not token:
            return


def _finish(url: str, job: Mapping[str, Any]) -> str:
    """Write the run record of a job and end it; its name."""
    container = job["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    _write_record(url, TrainingSpec.model_validate_json(_after(container["args"], "--spec")))
    finish_job(url, job["name"])
    name: str = job["name"]
    return name


def _write_record(url: str, spec: TrainingSpec) -> None:
    bucket, _, name = spec.output.record.removeprefix("gs://").partition("/")
    record = RunRecord(
        fleet=spec.fleet,
        experiment=spec.experiment,
        identity=spec.identity,
        attempt=spec.attempt,
        method=spec.method,
        artifact_uri=f"gs://{bucket}/artifacts/{spec.identity}/model",
        artifact_digest="0" * 64,
        base=spec.model.base,
        counts=Counts(train_rows=3),
    )
    about = json.dumps({"name": name, "metadata": metadata_of(record), "contentType": "application/json"})
    parts = [("application/json", about), ("application/json", record.model_dump_json())]
    text = "".join(f"--part\r\nContent-Type: {kind}\r\n\r\n{body}\r\n" for kind, body in parts) + "--part--\r\n"
    request = urllib.request.Request(
        f"{url}/upload/storage/v1/b/{quote(bucket)}/o?uploadType=multipart",
        text.encode(),
        {"content-type": "multipart/related; boundary=part"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def _after(words: Sequence[str], word: str) -> str:
    return words[list(words).index(word) + 1]
