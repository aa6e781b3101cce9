"""Python packages in place of a container: installed from Cloud Storage, and run as the module they name."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from tests.emulator.buckets import Bucket
from tests.emulator.clients import Cloud
from tests.emulator.logs import log_lines

SETUP = "from setuptools import find_packages, setup\nsetup(name='trainer', version='1.0', packages=find_packages())\n"
TASK = "import os, sys\nprint('trained', sys.argv[1:], os.environ.get('COLOUR'), flush=True)\n"


def package(task: str = TASK) -> bytes:
    """A source distribution with the module `trainer.task`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        files = {"setup.py": SETUP, "trainer/__init__.py": "", "trainer/task.py": task}
        for name, text in files.items():
            member = tarfile.TarInfo(f"trainer-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def start(cloud: Cloud, uri: str, **fields: Any) -> v1.CustomJob:
    """A job whose primary is a Python package."""
    spec = {
        "executor_image_uri": "us-docker.pkg.dev/vertex-ai/training/pytorch-gpu.2-4.py310:latest",
        "package_uris": [uri],
        "python_module": "trainer.task",
        "args": ["--epochs", "3"],
        "env": [{"name": "COLOUR", "value": "red"}],
        **fields,
    }
    pool = {"python_package_spec": spec, "machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1}
    job = {"display_name": "packaged", "job_spec": {"worker_pool_specs": [pool]}}
    return cloud.jobs.create_custom_job(parent=cloud.parent, custom_job=job)


def test_a_package_is_installed_and_its_module_runs_with_its_words(cloud: Cloud, bucket: Bucket) -> None:
    files = bucket("packages-good")
    files.write("trainer-1.0.tar.gz", package())

    job = cloud.ended(start(cloud, "gs://packages-good/trainer-1.0.tar.gz"), 60)

    assert job.state == v1.JobState.JOB_STATE_SUCCEEDED, job.error
    assert "trained ['--epochs', '3'] red" in log_lines(cloud.url, job)


def test_a_module_that_fails_fails_its_job(cloud: Cloud, bucket: Bucket) -> None:
    files = bucket("packages-bad")
    files.write("trainer-1.0.tar.gz", package("raise SystemExit('no data')\n"))

    job = cloud.ended(start(cloud, "gs://packages-bad/trainer-1.0.tar.gz"), 60)

    assert job.state == v1.JobState.JOB_STATE_FAILED
    assert "non-zero status of 1" in job.error.message
    assert "no data" in job.error.message


def test_a_package_that_is_not_there_fails_its_job_and_is_named(cloud: Cloud) -> None:
    job = cloud.ended(start(cloud, "gs://no-such-bucket/trainer.tar.gz"))

    assert job.state == v1.JobState.JOB_STATE_FAILED
    assert "gs://no-such-bucket/trainer.tar.gz cannot be read: 404" in job.error.message


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"executor_image_uri": ""}, "executor_image_uri"),
        ({"python_module": ""}, "python_module"),
        ({"package_uris": []}, "package_uris"),
        ({"package_uris": ["/home/me/trainer.tar.gz"]}, "gs://"),
    ],
)
def test_a_package_that_could_never_run_is_refused(cloud: Cloud, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(exceptions.BadRequest, match=named):
        start(cloud, "gs://packages/x.tar.gz", **fields)
