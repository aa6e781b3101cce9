from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import LORAFORM, Loraform

pytestmark = pytest.mark.slow


def server(repository: Path) -> dict[str, object]:
    return json.loads((repository / ".loraform/vertex/server.json").read_text())


def test_up_detached_returns_when_it_answers_and_says_where_things_are(loraform: Loraform, repository: Path) -> None:
    answer = loraform("up", "--detach")

    assert answer.returncode == 0, answer.stderr
    found = server(repository)
    assert str(found["url"]) in answer.stdout
    assert str(repository / ".loraform/vertex/server.log") in answer.stdout
    with urllib.request.urlopen(f"{found['url']}/emulator/health") as health:
        assert health.status == 200


def test_up_with_tls_says_where_and_whom_to_trust(loraform: Loraform, repository: Path) -> None:
    answer = loraform("up", "--detach", "--tls")

    assert answer.returncode == 0, answer.stderr
    found = server(repository)
    assert str(found["tls_url"]) in answer.stdout.replace("\n", "")
    trusted = ssl.create_default_context(cafile=repository / ".loraform/vertex/ca.pem")
    with urllib.request.urlopen(f"{found['tls_url']}/emulator/health", context=trusted) as health:
        assert health.status == 200


def test_a_second_up_says_that_it_runs_already(loraform: Loraform, repository: Path) -> None:
    loraform("up", "--detach")
    pid = server(repository)["pid"]

    answer = loraform("up")

    assert answer.returncode == 0
    assert "already running" in answer.stdout
    assert server(repository)["pid"] == pid


def test_down_leaves_no_process_behind(loraform: Loraform, repository: Path) -> None:
    loraform("up", "--detach")
    process = psutil.Process(int(str(server(repository)["pid"])))
    family = [process, *process.children(recursive=True)]

    answer = loraform("down")

    assert answer.returncode == 0, answer.stderr
    assert [item for item in family if item.is_running() and item.status() != psutil.STATUS_ZOMBIE] == []


def test_down_without_a_server_is_no_error(loraform: Loraform) -> None:
    answer = loraform("down")

    assert answer.returncode == 0
    assert "not running" in answer.stdout


def test_a_killed_server_is_not_taken_for_a_running_one(loraform: Loraform, repository: Path) -> None:
    loraform("up", "--detach")
    process = psutil.Process(int(str(server(repository)["pid"])))
    process.kill()
    process.wait(10)

    down, up = loraform("down"), loraform("up", "--detach")

    assert "not running" in down.stdout
    assert up.returncode == 0, up.stderr
    assert "is up" in up.stdout


def test_up_in_the_foreground_stops_its_server_when_it_is_asked_to_end(repository: Path) -> None:
    process = subprocess.Popen([LORAFORM, "up"], cwd=repository, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    shown = [process.stdout.readline()]
    pid = int(str(server(repository)["pid"]))

    process.send_signal(signal.SIGTERM)
    code = process.wait(60)
    process.stdout.close()

    assert "is up" in shown[0]
    assert code == 0
    assert not psutil.pid_exists(pid)


def test_a_server_that_dies_takes_the_foreground_command_with_it(repository: Path) -> None:
    process = subprocess.Popen(
        [LORAFORM, "up"], cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    psutil.Process(int(str(server(repository)["pid"]))).kill()

    _, err = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "It has ended." in err


def test_a_server_that_cannot_start_is_explained_with_its_last_words(loraform: Loraform, repository: Path) -> None:
    (repository / "programs.json").write_text('{"my/image": 7}')

    answer = loraform("up", "--detach", "--programs", "programs.json")

    assert answer.returncode == 1
    assert "ended at its start" in answer.stderr
    assert "my/image" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_port_and_a_folder_can_be_chosen(loraform: Loraform, repository: Path) -> None:
    answer = loraform("up", "--detach", "--state", "elsewhere")

    try:
        assert answer.returncode == 0, answer.stderr
        assert (repository / "elsewhere/server.json").exists()
    finally:
        loraform("down", "--state", "elsewhere")


def test_down_after_a_kill_spares_programs_that_only_know_the_address(loraform: Loraform, repository: Path) -> None:
    loraform("up", "--detach")
    found = server(repository)
    process = psutil.Process(int(str(found["pid"])))
    user = subprocess.Popen(["sleep", "600"], env={**os.environ, "LORAFORM_API_ENDPOINT": str(found["url"])})
    begin = ["sh", "-c", "sleep 600 >&- 2>&- & echo $!"]  # nobody's child, as a killed server's programs are
    marked = {**os.environ, "LORAFORM_EMULATOR_MARK": f"{found['mark']}/jobs/1/a"}
    left = psutil.Process(int(subprocess.run(begin, env=marked, stdout=subprocess.PIPE, text=True, check=True).stdout))
    process.kill()
    process.wait(10)

    down = loraform("down")

    assert "1 program of it ended now" in down.stdout
    assert (user.poll(), left.is_running()) == (None, False)
    user.kill()
    user.wait()


def test_another_folders_server_that_has_got_the_number_is_not_stopped(loraform: Loraform, repository: Path) -> None:
    loraform("up", "--detach", "--state", "elsewhere")
    other = json.loads((repository / "elsewhere/server.json").read_text())
    ours = repository / ".loraform/vertex"
    ours.mkdir(parents=True)
    (ours / "server.json").write_text(json.dumps(other))  # as a killed server leaves it

    down = loraform("down")

    assert "not running" in down.stdout
    assert psutil.Process(other["pid"]).is_running()
    assert "is down" in loraform("down", "--state", "elsewhere").stdout
