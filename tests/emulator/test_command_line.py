"""Google's own command line: from a shell, and inside of a job. Without it the tests say so and skip."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.emulator.buckets import Bucket
from tests.emulator.clients import Cloud
from tests.emulator.logs import log_lines

pytestmark = pytest.mark.skipif(
    shutil.which("gcloud") is None or shutil.which("gsutil") is None,
    reason="Google's command line was not tested: gcloud and gsutil are not installed",
)


def test_a_job_copies_its_data_with_gsutil(cloud: Cloud, bucket: Bucket) -> None:
    objects = bucket("for-gsutil")
    uri = objects.write("rows.jsonl", "hello\n")
    script = f"gsutil cp {uri} here.jsonl && cat here.jsonl && gsutil -m cp -r here.jsonl gs://for-gsutil/out/"

    done = cloud.ended(cloud.job(command=["sh", "-ec", script]), 90)

    assert done.state.name == "JOB_STATE_SUCCEEDED", done.error
    assert "hello" in log_lines(cloud.url, done)
    assert objects.bucket.blob("out/here.jsonl").download_as_bytes() == b"hello\n"


def test_gcloud_creates_and_lists(cloud: Cloud, tmp_path: Path) -> None:
    env = {
        **os.environ,
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM": f"{cloud.url}/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CONFIG": str(tmp_path),
        "CLOUDSDK_CORE_PROJECT": cloud.parent.split("/")[1],
        "CLOUDSDK_AI_REGION": "us-central1",
    }

    def gcloud(*words: str) -> str:
        command = ["gcloud", "ai", *words, "--format=value(displayName)"]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=90).stdout

    pool = "machine-type=n1-standard-4,container-image-uri=test/train"
    gcloud("custom-jobs", "create", "--display-name=mine", f"--worker-pool-spec={pool}", "--args=echo")
    gcloud("endpoints", "create", "--display-name=yours")

    assert gcloud("custom-jobs", "list").split() == ["mine"]
    assert gcloud("endpoints", "list").split() == ["yours"]
