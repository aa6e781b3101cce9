"""Ctrl-C at the real command, at several moments: what was begun is finished, what was not is listed."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import LORAFORM, write_experiment
from tests.cli.crash_world import World, open_world
from tests.emulator_fixture import emulator_calls, post

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as made:
        made.use_fleet("acme")
        for number in range(5):
            write_experiment(tmp_path, f"bot-{number}", adapter={"r": 8 + number})
        yield made


def start(world: World, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [LORAFORM, "apply", "--parallelism", "2", *arguments],
        cwd=world.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def slow(world: World, method: str, seconds: float) -> None:
    """From now on calls of this method take so long."""
    post(f"{world.url}/emulator/faults", {"match": {"method": method}, "times": None, "effect": {"delay_s": seconds}})


def wait_for_call(world: World, method: str) -> None:
    """Until a call of this method has been answered."""
    deadline = time.monotonic() + 60
    while not any(call["method"].endswith(method) for call in emulator_calls(world.url)):
        assert time.monotonic() < deadline, f"no {method}"
        time.sleep(0.02)


def test_amid_calls_those_in_flight_are_finished_and_the_others_listed(world: World) -> None:
    slow(world, "JobService.CreateCustomJob", 0.7)
    process = start(world)
    wait_for_call(world, "CreateCustomJob")

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    lease = world.loraform("unlock").told

    done = len(re.findall("^created ", out, re.MULTILINE))
    skipped = len(re.findall("^skipped .* interrupted$", out, re.MULTILINE))
    assert process.returncode == 130, err
    assert "Finishing the calls in flight" in err
    assert f"Interrupted. {done} done, {skipped} skipped; `loraform apply` goes on from here.\n" in out
    assert (done + skipped, 0 < done < 10) == (10, True)
    assert len(world.jobs()) == len(re.findall("^created .* training", out, re.MULTILINE))
    assert lease == "Nobody holds the lease.\n"
    assert world.loraform("apply").code == 0
    assert len(world.jobs()) == 5


def test_before_the_first_call_nothing_is_done(world: World) -> None:
    slow(world, "ModelService.ListModels", 1.0)
    process = start(world)
    wait_for_call(world, "ListCustomJobs")

    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Interrupted. 10 skipped" in out or "Interrupted. Nothing was done" in out, out
    assert world.jobs() == []
    assert world.loraform("unlock").told == "Nobody holds the lease.\n"


def test_a_wait_for_a_used_up_quota_ends_at_once(world: World) -> None:
    """The pause after a refusal is ten seconds, and the service refuses for ever."""
    refusal = {"match": {"method": "JobService.CreateCustomJob"}, "times": None, "effect": {"status": 429}}
    post(f"{world.url}/emulator/faults", refusal)
    process = start(world)
    wait_for_call(world, "CreateCustomJob")

    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert re.search(r"^skipped +bot-0 training +interrupted$", out, re.MULTILINE), out
    assert world.jobs() == []


def test_the_second_one_ends_at_once_and_leaves_what_a_kill_leaves(world: World) -> None:
    slow(world, "JobService.CreateCustomJob", 8.0)
    process = start(world)
    wait_for_call(world, "ListCustomJobs")
    deadline = time.monotonic() + 60
    while "holds it since" not in world.loraform("unlock").told:
        assert time.monotonic() < deadline
    time.sleep(1.0)  # it stands in the slow call

    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert "Once more" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    lease = world.loraform("unlock").told
    after = world.loraform("apply", "--wait", "--timeout", "20")

    assert process.returncode == 130
    assert "Stopped at once. The next apply looks what became of the calls in flight." in err
    assert "Traceback" not in err
    assert "holds it since" in lease
    assert len({job["labels"]["loraform-identity"] for job in world.jobs()}) == len(world.jobs()) == 5, after.told
