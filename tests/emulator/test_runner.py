"""What runs images that no program stands for, where there is no Docker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.emulator.work.docker import Contained, find_docker, name_of, run_words
from tests.emulator.clients import Cloud, until
from tests.emulator.logs import log_lines
from tests.emulator_fixture import running_emulator


def test_docker_that_is_asked_for_by_name_must_be_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "reconciler.emulator", "--state", str(tmp_path), "--runner", "docker"]

    done = subprocess.run(
        command, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 1
    assert "no daemon answers" in done.stderr
    assert "--runner auto" in done.stderr


def test_another_runner_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "reconciler.emulator", "--state", str(tmp_path), "--runner", "kubernetes"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert (done.returncode, "invalid choice" in done.stderr) == (2, True)


def test_nothing_is_looked_for_when_all_is_run_here() -> None:
    assert find_docker("local") == ""


def test_a_command_is_run_here_where_there_is_no_docker(tmp_path: Path) -> None:
    with running_emulator(tmp_path, {}, "--runner", "local") as url:
        cloud = Cloud(url, "projects/p/locations/us-central1")
        done = cloud.ended(cloud.job(image="any/image", command=["echo", "here"]))

    assert done.state.name == "JOB_STATE_SUCCEEDED"


# A daemon that answers at once that it lives, thinks about an image until it is let go, and runs anything.
SLOW_DOCKER = """#!/bin/sh
case "$1" in
image) touch "$HERE/asked"; while [ ! -e "$HERE/go" ]; do sleep 0.05; done;;
run) echo "in a container";;
esac
"""


def test_a_daemon_that_thinks_keeps_nobody_waiting_but_the_job_that_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(SLOW_DOCKER, encoding="utf-8")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(docker.parent), prepend=os.pathsep)
    monkeypatch.setenv("HERE", str(tmp_path))

    with running_emulator(tmp_path / "state", {"test/stub": "stub", "program": ["true"]}, "--jobs-at-once", "2") as url:
        cloud = Cloud(url, "projects/p/locations/us-central1")
        slow = cloud.job(image="some/image", command=[])
        until(lambda: (tmp_path / "asked").exists(), bool)
        quick = cloud.ended(cloud.job(image="program"))
        meanwhile = cloud.jobs.get_custom_job(name=slow.name)
        (tmp_path / "go").touch()
        done = cloud.ended(slow)

        assert quick.state.name == "JOB_STATE_SUCCEEDED"
        assert meanwhile.state.name in ("JOB_STATE_QUEUED", "JOB_STATE_PENDING")
        assert (done.state.name, log_lines(url, done)) == ("JOB_STATE_SUCCEEDED", ["in a container"])


@pytest.mark.parametrize(
    ("variable", "shown"), [("TOKEN", "TOKEN"), ("DOCKER_HOST", "DOCKER_HOST=v"), ("PATH", "PATH=v")]
)
def test_values_are_handed_over_by_name_unless_docker_would_heed_them(variable: str, shown: str) -> None:
    contained = Contained("image", ("/bin/sh", "-c"), ("true",))

    words = run_words("docker", contained, name_of("0123456789", "jobs/1/w"), "0123456789", {variable: "v"}, {})

    assert words[words.index("--env") + 1] == shown
    assert words[-5:] == ("--entrypoint", "/bin/sh", "image", "-c", "true")
    assert "--name=lf-01234567-jobs-1-w" in words
