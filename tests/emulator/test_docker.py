"""Images in real containers. Without a daemon, or without a busybox to make an image of, the tests say so and skip."""

from __future__ import annotations

import io
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from reconciler.emulator.work.docker import find_docker
from tests.emulator.clients import Cloud, until
from tests.emulator.logs import log_lines
from tests.emulator_fixture import emulator_card, running_emulator, start_emulator, stop_emulator

DOCKER, BUSYBOX = find_docker("auto"), shutil.which("busybox")
IMAGE = "loraform-test/busybox:1"
PARENT = "projects/p/locations/us-central1"
APPLETS = ("sh", "cat", "echo", "env", "httpd", "kill", "ls", "sleep", "wget")
PREDICT = """#!/bin/sh
asked=$(cat | tr -d '\\n{}[]"')
printf 'Content-Type: application/json\\r\\n\\r\\n{"predictions": ["%s from %s"]}' "$asked" "$AIP_STORAGE_URI"
"""

pytestmark = [
    pytest.mark.skipif(not DOCKER, reason="containers were not tested: no Docker or Podman daemon answers"),
    pytest.mark.skipif(BUSYBOX is None, reason="containers were not tested: install busybox-static for their image"),
]


def docker(*words: str, **how: Any) -> str:
    done = subprocess.run([DOCKER, *words], capture_output=True, check=True, timeout=60, **how)
    return done.stdout.decode()


def ours(mark: str = "") -> list[str]:
    label = f"label=loraform-emulator{'=' if mark else ''}{mark}"
    return docker("ps", "--all", "--filter", label, "--format", "{{.Names}}").split()


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """An image of one busybox, made without any registry; its own command says so."""
    assert BUSYBOX is not None
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(BUSYBOX, "bin/busybox", recursive=False)
        for name in (*APPLETS, "tr", "true", "false"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        for name in ("tmp", "www/cgi-bin"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o777
            archive.addfile(folder)
        for name, text, mode in (("www/health", "fine", 0o644), ("www/cgi-bin/predict", PREDICT, 0o755)):
            file = tarfile.TarInfo(name)
            file.size, file.mode = len(text.encode()), mode
            archive.addfile(file, io.BytesIO(text.encode()))
    change = ["--change", 'ENTRYPOINT ["/bin/echo", "the image speaks:"]', "--change", 'CMD ["by itself"]']
    docker("import", *change, "-", IMAGE, input=packed.getvalue())
    yield IMAGE
    docker("image", "rm", "--force", IMAGE)


@pytest.fixture(scope="module")
def own_url(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[str]:
    programs = {"a/program": ["sh", "-c", "echo a program"]}
    with running_emulator(tmp_path_factory.mktemp("docker"), programs, "--jobs-at-once", "4") as url:
        yield url
    assert ours() == []


@pytest.fixture
def own(own_url: str) -> Cloud:
    return Cloud(own_url, PARENT)


def run(own: Cloud, *args: str, command: tuple[str, ...] = ("/bin/sh", "-c"), **fields: Any) -> Any:
    return own.ended(own.job(*args, image=IMAGE, command=command, **fields), 60)


def test_an_image_runs_with_its_own_command_and_ours_in_its_place(own: Cloud) -> None:
    by_itself, with_args = run(own, command=()), run(own, "as", "told", command=())
    with_command = run(own, "echo $0 $1; exit 0", "x", "y")

    assert log_lines(own.url, by_itself) == ["the image speaks: by itself"]
    assert log_lines(own.url, with_args) == ["the image speaks: as told"]
    assert log_lines(own.url, with_command) == ["x y"]


def test_a_container_is_told_what_every_job_is_and_sees_nothing_of_this_machine(own: Cloud) -> None:
    variables = [{"name": "GREETING", "value": "hi $(NAME)"}, {"name": "NAME", "value": "you"}]
    variables += [{"name": "PATH", "value": "/bin"}]
    output = {"output_uri_prefix": "gs://b/out"}

    done = run(own, "env", env=variables, base_output_directory=output)
    seen = dict(line.split("=", 1) for line in log_lines(own.url, done) if "=" in line)

    assert (seen["GREETING"], seen["PATH"]) == ("hi you", "/bin")
    assert (seen["AIP_MODEL_DIR"], seen["STORAGE_EMULATOR_HOST"]) == ("gs://b/out/model/", own.url)
    assert seen["CLOUD_ML_JOB_ID"] == done.name.rpartition("/")[2]
    assert not {"LORAFORM_EMULATOR_MARK", "PYTEST_CURRENT_TEST", "DOCKER_HOST", "VIRTUAL_ENV"} & set(seen)


def test_a_container_reads_and_writes_a_bucket_as_a_folder(own: Cloud) -> None:
    client = storage.Client("p", credentials=AnonymousCredentials(), client_options={"api_endpoint": own.url})
    bucket = client.create_bucket("for-containers")
    bucket.blob("in.txt").upload_from_string("from the bucket")

    done = run(own, "cat /gcs/for-containers/in.txt; echo back > /gcs/for-containers/out.txt")
    back = bucket.blob("out.txt").download_as_bytes()
    client.close()

    assert (log_lines(own.url, done), back) == (["from the bucket"], b"back\n")


def test_a_container_finds_default_credentials(own: Cloud) -> None:
    ask = "wget -qO- --header 'Metadata-Flavor: Google' http://$GCE_METADATA_HOST/computeMetadata/v1/"

    done = run(own, f"{ask}project/project-id; echo; {ask}instance/service-accounts/default/token")

    project, token = log_lines(own.url, done)
    assert (project, '"token_type": "Bearer"' in token) == ("loraform-local", True)


def test_an_exit_code_fails_the_job_with_the_end_of_its_log(own: Cloud) -> None:
    done = run(own, "echo it is broken; exit 7")

    assert done.state.name == "JOB_STATE_FAILED"
    assert "status of 7" in done.error.message
    assert "it is broken" in done.error.message


def test_a_container_that_heeds_no_signal_is_gone_after_a_cancel(own: Cloud) -> None:
    job = own.job("trap '' TERM; echo up; while :; do sleep 1; done", image=IMAGE, command=["/bin/sh", "-c"])
    until(lambda: own.jobs.get_custom_job(name=job.name).state.name, lambda name: name == "JOB_STATE_RUNNING")
    until(lambda: log_lines(own.url, job), bool)

    own.jobs.cancel_custom_job(name=job.name)
    done = own.ended(job, 60)

    assert done.state.name == "JOB_STATE_CANCELLED"
    assert not [name for name in ours() if job.name.rpartition("/")[2] in name]


def test_programs_come_first_and_an_image_that_is_nowhere_is_told_of(own: Cloud) -> None:
    program = own.ended(own.job(image="a/program"), 60)
    nowhere = own.ended(own.job(image="no/such:image"), 60)

    assert log_lines(own.url, program) == ["a program"]
    assert "has no image of this name" in nowhere.error.message
    assert "--programs" in nowhere.error.message


def test_a_container_serves_on_the_port_that_it_is_told(own: Cloud) -> None:
    serve = "exec httpd -f -p 127.0.0.1:$AIP_HTTP_PORT -h /www"
    container = {"command": ["/bin/sh", "-c"], "predict_route": "/cgi-bin/predict", "image_uri": IMAGE}
    model = own.model(serve, container=container)
    endpoint = own.endpoint()

    own.deploy(endpoint, model, {"0": 100}).result()
    answered = own.predict(endpoint, ["hi"])
    [deployed] = own.read(endpoint).deployed_models
    own.endpoints.undeploy_model(endpoint=endpoint.name, deployed_model_id=deployed.id).result()

    assert answered.predictions == ["instances: hi from gs://bucket/model"]
    assert not [name for name in ours() if deployed.id in name]


def test_a_crashed_servers_containers_are_removed_by_the_next(tmp_path: Path, image: str) -> None:
    process = start_emulator(tmp_path, {})
    cloud = Cloud(emulator_card(tmp_path)["url"], PARENT)
    job = cloud.job("echo up; sleep 600", image=image, command=["/bin/sh", "-c"])
    [name] = until(lambda: [one for one in ours() if job.name.rpartition("/")[2] in one], bool)

    process.send_signal(signal.SIGKILL)
    process.wait()
    left = ours()
    again = start_emulator(tmp_path, {})
    found = Cloud(emulator_card(tmp_path)["url"], PARENT).jobs.get_custom_job(name=job.name)
    stop_emulator(again)

    assert name in left
    assert name not in ours()
    assert found.state.name == "JOB_STATE_FAILED"


def test_only_containers_are_run_when_that_is_asked_for(tmp_path: Path, image: str) -> None:
    with running_emulator(tmp_path, {}, "--runner", "docker") as url:
        cloud = Cloud(url, PARENT)
        here = cloud.ended(cloud.job(image="no/such:image", command=["echo", "here"]), 60)
        there = cloud.ended(cloud.job("echo there", image=image, command=["/bin/sh", "-c"]), 60)

    assert "has no image of this name" in here.error.message
    assert there.state.name == "JOB_STATE_SUCCEEDED"


def test_docker_is_left_alone_when_that_is_asked_for(tmp_path: Path, image: str) -> None:
    with running_emulator(tmp_path, {}, "--runner", "local") as url:
        cloud = Cloud(url, PARENT)
        done = cloud.ended(cloud.job(image=image), 60)

    assert "maps to no program on this machine. Start the server" in done.error.message


def test_more_words_are_handed_to_docker(tmp_path: Path, image: str) -> None:
    with running_emulator(tmp_path, {}, "--docker-run", "--read-only --env MORE=1") as url:
        cloud = Cloud(url, PARENT)
        done = cloud.ended(cloud.job("echo $MORE; echo x > /no || echo sealed", image=image, command=["/bin/sh", "-c"]))
        lines = log_lines(url, done)

    assert {"1", "sealed"} < set(lines)
