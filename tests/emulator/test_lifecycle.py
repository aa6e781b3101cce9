from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import pytest
from google.cloud import aiplatform_v1 as v1

from reconciler.emulator.store import Store
from reconciler.emulator.work.processes import Processes
from reconciler.emulator.world import Launch
from tests.emulator.clients import Cloud, until
from tests.emulator_fixture import emulator_card, running_emulator, start_emulator, stop_emulator

PARENT = "projects/p/locations/europe-west4"
Programs = Mapping[str, Sequence[str] | str]


def lives(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def tree_of(path: Path) -> list[int]:
    return until(lambda: path.read_text(encoding="ascii").split() if path.exists() else [], lambda p: len(p) == 3)


def test_a_stopped_server_leaves_nothing_behind(tmp_path: Path, programs: Programs) -> None:
    server = start_emulator(tmp_path / "state", programs)
    cloud = Cloud(emulator_card(tmp_path / "state")["url"], PARENT)
    cloud.job("tree", str(tmp_path / "pids"))
    endpoint = cloud.endpoint()
    cloud.deploy(endpoint, cloud.model(), {"0": 100}).result()
    replica = int(cloud.predict(endpoint, ["x"]).predictions[0]["pid"])
    tree = [int(pid) for pid in tree_of(tmp_path / "pids")]

    code = stop_emulator(server)

    assert code == 0
    assert not (tmp_path / "state" / "server.json").exists()
    assert [pid for pid in (*tree, replica) if lives(pid)] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_server_well_and_its_log_says_which(tmp_path: Path, number: signal.Signals) -> None:
    server = start_emulator(tmp_path, {})

    server.send_signal(number)
    code = server.wait(20)

    assert code == 0
    assert f"ends, as {number.name} tells it to" in (tmp_path / "server.log").read_text(encoding="utf-8")
    assert not (tmp_path / "server.json").exists()


@pytest.mark.parametrize("number", [signal.SIGIO, signal.SIGURG, signal.SIGPIPE, signal.SIGCHLD])
def test_a_signal_that_nobody_meant_ends_nothing(tmp_path: Path, number: signal.Signals) -> None:
    server = start_emulator(tmp_path, {})

    server.send_signal(number)
    job = Cloud(emulator_card(tmp_path)["url"], PARENT).job(image="any/image", command=["true"])
    ended = Cloud(emulator_card(tmp_path)["url"], PARENT).ended(job)

    assert (server.poll(), ended.state) == (None, v1.JobState.JOB_STATE_SUCCEEDED)
    stop_emulator(server)


def test_a_server_that_is_told_to_end_while_it_starts_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "reconciler.emulator", "--state", str(tmp_path)]
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    until(lambda: (tmp_path / "lock").exists(), bool)  # from here on it has taken the signals over

    server.send_signal(signal.SIGTERM)

    assert server.wait(30) == 0


def test_a_program_that_has_ended_keeps_its_number_until_its_group_is_ended(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    runner = Processes(store, time.time, "a-mark-of-this-test")
    spawn = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True); sys.exit(3)"
    runner.start("one", Launch((sys.executable, "-c", spawn), dict(os.environ), tmp_path / "one", tmp_path / "log"))

    code = until(lambda: runner.exit_code("one"), lambda found: found is not None)
    [row] = store.every("process")
    reserved = Path(f"/proc/{row.extra['pid']}").exists()  # nobody else can get this number, nor lead such a group
    left = int((tmp_path / "log").read_text(encoding="ascii"))
    gone = until(lambda: runner.gone("one"), bool)
    until(lambda: lives(left), lambda found: not found)

    assert (code, reserved, gone, Path(f"/proc/{row.extra['pid']}").exists()) == (3, True, True, False)
    assert runner.exit_code("one") == 3
    runner.forget("one")
    store.close()


def test_after_a_kill_the_next_start_cleans_up_and_brings_deployed_models_back(
    tmp_path: Path, programs: Programs
) -> None:
    state = tmp_path / "state"
    server = start_emulator(state, programs)
    cloud = Cloud(emulator_card(state)["url"], PARENT)
    done = cloud.ended(cloud.job("echo"))
    job = cloud.job("tree", str(tmp_path / "pids"))
    waiting = cloud.job("echo", name="waits for the other")
    endpoint = cloud.endpoint()
    cloud.deploy(endpoint, cloud.model(), {"0": 100}).result()
    replica = int(cloud.predict(endpoint, ["x"]).predictions[0]["pid"])
    tree = [int(pid) for pid in tree_of(tmp_path / "pids")]
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    server.kill()
    server.wait()
    assert all(lives(pid) for pid in (*tree, replica))

    with running_emulator(state, programs) as url:
        cloud = Cloud(url, PARENT)
        interrupted = cloud.ended(job)
        back = until(lambda: predicted(cloud, endpoint), bool)
        ran_late = cloud.ended(waiting)

        assert interrupted.state == v1.JobState.JOB_STATE_FAILED
        assert "was stopped while this job was running" in interrupted.error.message
        assert cloud.ended(done).state == v1.JobState.JOB_STATE_SUCCEEDED
        assert ran_late.state == v1.JobState.JOB_STATE_SUCCEEDED
        assert back != replica
        assert [pid for pid in (*tree, replica) if lives(pid)] == []
        assert lives(bystander.pid)
    bystander.kill()
    bystander.wait()


def test_a_deployment_that_was_in_flight_at_a_kill_is_completed(tmp_path: Path, programs: Programs) -> None:
    server = start_emulator(tmp_path, programs)
    cloud = Cloud(emulator_card(tmp_path)["url"], PARENT)
    endpoint = cloud.endpoint()
    name = cloud.deploy(endpoint, cloud.model(), {"0": 100}, id="3").operation.name
    server.kill()
    server.wait()

    with running_emulator(tmp_path, programs) as url:
        cloud = Cloud(url, PARENT)
        operation = until(lambda: cloud.endpoints.get_operation({"name": name}), lambda found: found.done)

        assert not operation.HasField("error")
        assert [one.id for one in cloud.read(endpoint).deployed_models] == ["3"]


def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with running_emulator(tmp_path, {}) as url:
        second = subprocess.run(
            [sys.executable, "-m", "reconciler.emulator", "--state", str(tmp_path)],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip

        assert second.returncode == 1
        assert "Another server already uses" in second.stderr
        assert url in second.stderr
        assert emulator_card(tmp_path)["url"] == url


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with running_emulator(tmp_path / "one", {}) as url:
        second = subprocess.run(
            [sys.executable, "-m", "reconciler.emulator", "--state", str(tmp_path / "two"),
             "--port", url.rpartition(":")[2]],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip

        assert second.returncode == 1
        assert "Choose another --port" in second.stderr


@pytest.mark.parametrize(
    ("options", "hosts"), [((), {"127.0.0.1"}), (("--tls",), {"127.0.0.1"}), (("--host", "0.0.0.0"), {"0.0.0.0"})]
)
def test_a_server_listens_where_it_is_told_to_and_on_this_machine_only_else(
    tmp_path: Path, options: tuple[str, ...], hosts: set[str]
) -> None:
    server = start_emulator(tmp_path, {}, *options)

    sockets = [one for one in psutil.Process(server.pid).net_connections("inet") if one.status == "LISTEN"]

    assert {one.laddr.ip for one in sockets} == hosts
    assert len(sockets) == (2 if "--tls" in options else 1)
    stop_emulator(server)


@pytest.mark.parametrize("given", ["{", '["x"]', '{"image": "sometimes"}', '{"image": []}', "/no/such/file"])
def test_programs_that_make_no_sense_are_refused(tmp_path: Path, given: str) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "reconciler.emulator", "--state", str(tmp_path), "--programs", given],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip

    assert refused.returncode == 2
    assert "--programs" in refused.stderr


def test_programs_are_read_from_a_file_and_the_card_tells_where_the_server_is(
    tmp_path: Path, programs: Programs
) -> None:
    (tmp_path / "programs.json").write_text(json.dumps(programs), encoding="utf-8")
    server = subprocess.Popen(
        [sys.executable, "-m", "reconciler.emulator", "--state", str(tmp_path / "state"),
         "--programs", str(tmp_path / "programs.json")],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    line = server.stdout.readline()
    card = emulator_card(tmp_path / "state")

    ended = Cloud(card["url"], PARENT).ended(Cloud(card["url"], PARENT).job("echo"))

    assert line == f"The embedded Vertex AI answers at {card['url']}\n"
    assert set(card) == {"pid", "port", "url", "started", "mark"}
    assert card["pid"] == server.pid
    assert ended.state == v1.JobState.JOB_STATE_SUCCEEDED
    stop_emulator(server)
    server.stdout.close()


def predicted(cloud: Cloud, endpoint: v1.Endpoint) -> int | None:
    from google.api_core import exceptions

    try:
        return int(cloud.predict(endpoint, ["x"]).predictions[0]["pid"])
    except exceptions.ServiceUnavailable:
        return None


def test_a_held_job_outlives_a_restart(tmp_path: Path, programs: Programs) -> None:
    with running_emulator(tmp_path, programs) as url:
        job = Cloud(url, PARENT).job(image="test/hold")
        until(lambda: Cloud(url, PARENT).jobs.get_custom_job(name=job.name).state, lambda found: found == 3)

    with running_emulator(tmp_path, programs) as url:
        found = Cloud(url, PARENT).jobs.get_custom_job(name=job.name)

    assert found.state == v1.JobState.JOB_STATE_RUNNING
