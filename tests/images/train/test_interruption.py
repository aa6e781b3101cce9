"""A training that is interrupted three times ends as the undisturbed one does, and several processes as one does."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as v1

from images.train.storage import Storage
from tests.images.train.conftest import IDENTITY
from tests.images.train.test_training import SHORT, Bench

pytestmark = pytest.mark.heavy

PARENT = "projects/test/locations/us-central1"
LONG = {**SHORT, "num_train_epochs": 12, "learning_rate": 0.003}
ADAPTER = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.2}


@pytest.fixture
def bench(bucket: str, emulator: str, base: Path, tmp_path: Path, storage: Storage) -> Bench:
    from tests.images.train.test_training import ROWS

    storage.upload_folder(base, f"{bucket}/base")
    storage.write(f"{bucket}/train.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS).encode())
    return Bench(bucket, emulator, tmp_path / "cache", storage)


def test_a_run_that_is_ended_killed_and_preempted_gives_the_very_same_adapter(
    bench: Bench, emulator_folder: Path
) -> None:
    undisturbed = bench.train("whole", training=LONG, adapter=ADAPTER)
    output = {
        "record": f"{bench.bucket}/runs/torn.json",
        "lock": f"{bench.bucket}/runs/torn.lock",
        "resume": f"{bench.bucket}/checkpoints/{IDENTITY}",
        "resume_every": 0,
    }
    more: dict[str, Any] = {"training": LONG, "adapter": ADAPTER, "output": output}

    ended = bench.start("torn", **more)
    until_step(ended, 4)
    ended.send_signal(signal.SIGTERM)
    said, _ = ended.communicate(timeout=120)
    killed = bench.start("torn", **more)
    resumed_at = until_step(killed, 10)
    killed.kill()
    killed.communicate()
    job = vertex_job(bench, "torn", {"strategy": "SPOT"}, **more)
    logged(job, emulator_folder, lambda log: saved(log) >= 15)
    preempt(job, bench)
    done = over(job, bench)

    assert done.state == v1.JobState.JOB_STATE_SUCCEEDED, done.error.message
    record = bench.record("torn")
    assert ended.returncode == 143
    assert re.search(
        r"error: Interrupted by SIGTERM after step \d+\. Run again: it goes on from there\.$", said.strip()
    )
    assert resumed_at is not None
    assert resumed_at >= 4
    assert record.artifact_digest == undisturbed.artifact_digest
    assert record.metrics == pytest.approx(undisturbed.metrics, abs=1e-6)
    assert bench.storage.matching(f"{output['resume']}/**/*") == []


def test_two_machines_of_one_process_learn_what_one_machine_learns(bench: Bench, emulator_folder: Path) -> None:
    alone = bench.train("alone", training={**SHORT, "per_device_train_batch_size": 4}, adapter={"r": 4})
    halves = {**SHORT, "per_device_train_batch_size": 2}

    job = vertex_job(bench, "two", {}, replicas=2, training=halves, adapter={"r": 4})
    done = over(job, bench)

    assert done.state == v1.JobState.JOB_STATE_SUCCEEDED, done.error.message
    record = bench.record("two")
    assert record.counts.effective_batch == alone.counts.effective_batch == 4
    assert record.counts.optimizer_steps == alone.counts.optimizer_steps
    for name in ("train_loss", "eval_loss"):
        assert record.metrics[name] == pytest.approx(alone.metrics[name], rel=1e-4)
    log = log_of(job, emulator_folder, "workerpool1-0")
    assert "LORAFORM" not in log, log


def vertex_job(bench: Bench, name: str, scheduling: dict[str, Any], replicas: int = 1, **more: Any) -> str:
    """A custom job of the embedded Vertex AI that runs the trainer; its resource name."""
    words = [sys.executable, "-m", "images.train", "--spec", json.dumps(bench.spec(name, **more))]
    env = [{"name": "LORAFORM_CACHE", "value": str(bench.cache)}]
    container = {"image_uri": "train", "command": words, "env": env}
    pool = {"container_spec": container, "machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1}
    spec = {
        "worker_pool_specs": [pool, *([{**pool, "replica_count": replicas - 1}] if replicas > 1 else [])],
        "base_output_directory": {"output_uri_prefix": f"{bench.bucket}/artifacts/{name}"},
        "scheduling": scheduling,
    }
    made = {"display_name": name, "job_spec": spec}
    return str(client(bench).create_custom_job(parent=PARENT, custom_job=made).name)


def client(bench: Bench) -> v1.JobServiceClient:
    options = {"api_endpoint": bench.emulator}
    return v1.JobServiceClient(transport="rest", credentials=AnonymousCredentials(), client_options=options)


def over(job: str, bench: Bench) -> v1.CustomJob:
    """The job once it has ended."""
    ended = (v1.JobState.JOB_STATE_SUCCEEDED, v1.JobState.JOB_STATE_FAILED, v1.JobState.JOB_STATE_CANCELLED)
    while (found := client(bench).get_custom_job(name=job)).state not in ended:
        time.sleep(0.3)
    return found


def preempt(job: str, bench: Bench) -> None:
    asked = f"{bench.emulator}/emulator/jobs/{job.rpartition('/')[2]}:preempt"
    urllib.request.urlopen(urllib.request.Request(asked, data=b"{}", method="POST"), timeout=30).close()


def log_of(job: str, folder: Path, worker: str = "workerpool0-0") -> str:
    path = folder / "logs/jobs" / job.rpartition("/")[2] / f"{worker}.log"
    return path.read_text() if path.exists() else ""


def logged(job: str, folder: Path, enough: Callable[[str], bool]) -> None:
    """Wait until its log says enough."""
    while not enough(log_of(job, folder)):
        time.sleep(0.05)


def saved(log: str) -> int:
    """The step of the last checkpoint in a log."""
    steps = [
        json.loads(line.removeprefix("LORAFORM "))["step"] for line in log.splitlines() if '"event": "saved"' in line
    ]
    return max(steps, default=0)


def until_step(running: subprocess.Popen[str], step: int) -> int | None:
    """Read its log until the checkpoint of that step was written; at which step it went on, if it did."""
    assert running.stdout is not None
    resumed = None
    for line in running.stdout:
        if not line.startswith("LORAFORM "):
            continue
        event = json.loads(line.removeprefix("LORAFORM "))
        if event["event"] == "resumed":
            resumed = int(event["step"])
        if event["event"] == "saved" and event["step"] >= step:
            return resumed
    raise AssertionError(f"it ended before step {step}")
