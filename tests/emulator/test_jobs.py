from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as v1
from google.cloud import storage

from tests.emulator.clients import Cloud, until
from tests.emulator.logs import log_lines
from tests.emulator_fixture import finish_job


def test_a_job_runs_the_program_of_its_image_with_its_args(cloud: Cloud, url: str) -> None:
    job = cloud.job("echo", "--spec", '{"r": 16}')

    ended = cloud.ended(job)

    assert ended.state == v1.JobState.JOB_STATE_SUCCEEDED
    assert 'words ["--spec", "{\\"r\\": 16}"]' in log_lines(url, job)
    assert ended.create_time <= ended.start_time <= ended.end_time


def test_an_image_is_found_without_its_tag_and_digest(cloud: Cloud) -> None:
    tagged = cloud.ended(cloud.job("echo", image="test/train:v1"))
    digested = cloud.ended(cloud.job("echo", image="test/train:v1@sha256:0123"))

    assert (tagged.state, digested.state) == (v1.JobState.JOB_STATE_SUCCEEDED, v1.JobState.JOB_STATE_SUCCEEDED)


def test_a_job_sees_the_environment_of_vertex_and_its_own(cloud: Cloud, url: str) -> None:
    names = ["CLOUD_ML_JOB_ID", "AIP_MODEL_DIR", "AIP_CHECKPOINT_DIR", "AIP_TENSORBOARD_LOG_DIR", "OWN"]
    names += [
        "STORAGE_EMULATOR_HOST",
        "LORAFORM_API_ENDPOINT",
        "GOOGLE_CLOUD_PROJECT",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT",
    ]
    output = {"output_uri_prefix": "gs://bucket/out"}
    job = cloud.job("env", *names, env=[{"name": "OWN", "value": "mine"}], base_output_directory=output)

    cloud.ended(job)

    printed = next(line for line in log_lines(url, job) if line.startswith("env "))
    assert json.loads(printed.removeprefix("env ")) == {
        "CLOUD_ML_JOB_ID": job.name.rsplit("/", 1)[-1],
        "AIP_MODEL_DIR": "gs://bucket/out/model/",
        "AIP_CHECKPOINT_DIR": "gs://bucket/out/checkpoints/",
        "AIP_TENSORBOARD_LOG_DIR": "gs://bucket/out/logs/",
        "OWN": "mine",
        "STORAGE_EMULATOR_HOST": url,
        "LORAFORM_API_ENDPOINT": url,
        "GOOGLE_CLOUD_PROJECT": "loraform-local",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }


def test_a_command_is_run_as_given_with_this_environment_first_in_path(cloud: Cloud, url: str) -> None:
    command = ["python", "-c", "import sys, google.protobuf; print('ran', sys.argv[1])"]
    job = cloud.job("$(WHO)", image="some/image", command=command, env=[{"name": "WHO", "value": "me"}])

    ended = cloud.ended(job)

    assert ended.state == v1.JobState.JOB_STATE_SUCCEEDED
    assert "ran me" in log_lines(url, job)


def test_a_failed_job_tells_its_last_log_lines(cloud: Cloud) -> None:
    ended = cloud.ended(cloud.job("fail", "7"))

    assert ended.state == v1.JobState.JOB_STATE_FAILED
    assert "workerpool0-0 exited with a non-zero status of 7" in ended.error.message
    assert "something is wrong" in ended.error.message


def test_an_image_that_maps_to_nothing_fails_the_job_and_says_how_to_map_it(cloud: Cloud) -> None:
    ended = cloud.ended(cloud.job("echo", image="acme/unknown:3"))

    assert ended.state == v1.JobState.JOB_STATE_FAILED
    assert "acme/unknown:3" in ended.error.message
    assert "--programs" in ended.error.message


def test_a_program_that_is_not_there_fails_the_job(cloud: Cloud) -> None:
    ended = cloud.ended(cloud.job("echo", image="test/absent"))

    assert ended.state == v1.JobState.JOB_STATE_FAILED
    assert "no-such-program" in ended.error.message


def test_cancelling_ends_the_whole_process_tree(cloud: Cloud, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    job = cloud.job("tree", str(pids))
    tree = until(lambda: _pids(pids), lambda found: len(found) == 3)

    cloud.jobs.cancel_custom_job(name=job.name)
    ended = cloud.ended(job)

    assert ended.state == v1.JobState.JOB_STATE_CANCELLED
    assert [pid for pid in tree if _lives(pid)] == []


def test_a_job_that_runs_longer_than_its_timeout_is_ended(cloud: Cloud) -> None:
    ended = cloud.ended(cloud.job("sleep", "600", scheduling={"timeout": "1s"}))

    assert ended.state == v1.JobState.JOB_STATE_FAILED
    assert "timeout of 1 s" in ended.error.message


def test_a_held_job_ends_as_the_test_decides(cloud: Cloud, url: str) -> None:
    job = cloud.job(image="test/hold")
    until(lambda: cloud.jobs.get_custom_job(name=job.name).state, lambda s: s == v1.JobState.JOB_STATE_RUNNING)

    finish_job(url, job.name, "JOB_STATE_FAILED", "no GPUs left")

    ended = cloud.ended(job)
    assert (ended.state, ended.error.message) == (v1.JobState.JOB_STATE_FAILED, "no GPUs left")


def test_names_carry_the_project_number_and_requests_may_carry_either(cloud: Cloud, parent: str) -> None:
    job = cloud.job(image="test/hold")

    by_id = cloud.jobs.get_custom_job(name=f"{parent}/customJobs/{job.name.rsplit('/', 1)[-1]}")

    assert job.name.split("/")[1].isdecimal()
    assert by_id.name == job.name


def test_jobs_are_filtered_by_labels_state_and_display_name(cloud: Cloud) -> None:
    kept = cloud.job(image="test/hold", name="train_a", labels={"team": "x", "fleet": "f"})
    cloud.job(image="test/hold", name="train_b", labels={"team": "y"})
    cloud.job(image="test/hold", name="other", labels={"team": "x"})

    def listed(query: str) -> list[str]:
        request = {"parent": cloud.parent, "filter": query}
        return [job.display_name for job in cloud.jobs.list_custom_jobs(request=request)]

    assert listed("labels.team=x") == ["other", "train_a"]
    assert listed('labels.team="x" AND labels.fleet:*') == ["train_a"]
    assert listed('display_name:"train_*"') == ["train_b", "train_a"]
    assert listed('labels.team="y" OR display_name="other"') == ["other", "train_b"]
    assert listed("NOT labels.fleet:* AND labels.team=x") == ["other"]
    assert listed('state="JOB_STATE_SUCCEEDED"') == []
    assert listed(f'create_time>="{kept.create_time.rfc3339()}" AND labels.fleet:f') == ["train_a"]


def test_pages_of_jobs_are_followed_to_the_end(cloud: Cloud) -> None:
    made = [cloud.job(image="test/hold", name=f"job {number}").name for number in range(5)]

    pager = cloud.jobs.list_custom_jobs(request={"parent": cloud.parent, "page_size": 2})

    pages = [[job.name for job in page.custom_jobs] for page in pager.pages]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [name for page in pages for name in page] == made[::-1]


def test_a_running_job_is_not_deleted(cloud: Cloud) -> None:
    job = cloud.job(image="test/hold")

    with pytest.raises(exceptions.BadRequest) as refused:
        cloud.jobs.delete_custom_job(name=job.name)

    assert refused.value.response.json()["error"]["status"] == "FAILED_PRECONDITION"


def test_an_ended_job_is_deleted_in_an_operation(cloud: Cloud) -> None:
    job = cloud.ended(cloud.job("echo"))

    cloud.jobs.delete_custom_job(name=job.name).result()

    with pytest.raises(exceptions.NotFound):
        cloud.jobs.get_custom_job(name=job.name)


def test_a_label_with_capitals_is_refused_in_googles_words(cloud: Cloud) -> None:
    with pytest.raises(exceptions.BadRequest, match="Label keys and values can only contain lowercase letters"):
        cloud.job("echo", labels={"Team": "x"})


def test_several_replicas_see_each_other_in_the_cluster_spec(cloud: Cloud, url: str) -> None:
    container = {"image_uri": "test/train", "args": ["env", "CLUSTER_SPEC"]}
    pools = [{"container_spec": container}, {"container_spec": container, "replica_count": 2}]
    made = {"display_name": "three", "job_spec": {"worker_pool_specs": pools}}
    job = cloud.jobs.create_custom_job(parent=cloud.parent, custom_job=made)

    ended = cloud.ended(job)

    assert ended.state == v1.JobState.JOB_STATE_SUCCEEDED
    told = [line.removeprefix("env ") for line in log_lines(url, job) if line.startswith("env ")]
    tasks = sorted(json.dumps(json.loads(json.loads(line)["CLUSTER_SPEC"])["task"], sort_keys=True) for line in told)
    assert tasks == [
        '{"index": 0, "type": "workerpool0"}',
        '{"index": 0, "type": "workerpool1"}',
        '{"index": 1, "type": "workerpool1"}',
    ]


def _pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text(encoding="ascii").split()] if path.exists() else []


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"


def test_a_job_reads_and_writes_a_bucket_as_a_folder(cloud: Cloud, url: str) -> None:
    client = storage.Client("p", credentials=AnonymousCredentials(), client_options={"api_endpoint": url})
    bucket = client.create_bucket("a-bucket-as-a-folder")
    bucket.blob("in/data.txt").upload_from_string("from the bucket")
    program = (
        "import os, sys; text = open(sys.argv[1]).read(); open(os.environ['OUT'] + '/answer.txt', 'w').write(text)"
    )
    job = cloud.job(
        "/gcs/a-bucket-as-a-folder/in/data.txt",
        image="x",
        command=["python", "-c", program],
        env=[{"name": "OUT", "value": "/gcs/a-bucket-as-a-folder"}],
    )

    ended = cloud.ended(job)

    assert ended.state == v1.JobState.JOB_STATE_SUCCEEDED, ended.error
    assert bucket.blob("answer.txt").download_as_bytes() == b"from the bucket"
    client.close()
