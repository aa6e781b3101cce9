from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from images.train.failures import Duplicate
from images.train.lock import Holder, take, this_process
from images.train.storage import Storage

US = this_process("", 1)
OTHER = replace(US, place="elsewhere", token="other")


@pytest.fixture(params=["disk", "bucket"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    folder = str(tmp_path) if request.param == "disk" else str(request.getfixturevalue("bucket"))
    return f"{folder}/run.lock"


def never(seconds: float) -> None:
    raise AssertionError("a living holder is not watched")


def held_by(storage: Storage, uri: str, holder: Holder) -> None:
    storage.write(uri, holder.to_json())


def in_the_future() -> float:
    return time.time() + 3600


def test_a_lock_is_there_while_it_is_held_and_gone_afterwards(storage: Storage, uri: str) -> None:
    with take(storage, uri, US):
        held = storage.read(uri)

    assert held is not None
    assert json.loads(held.content)["token"] == US.token
    assert storage.read(uri) is None


def test_a_second_process_ends_at_once_as_a_duplicate(storage: Storage, uri: str) -> None:
    held_by(storage, uri, replace(OTHER, job="projects/1/customJobs/7"))

    with pytest.raises(Duplicate, match=r"^duplicate: projects/1/customJobs/7 is training this identity") as refused:
        take(storage, uri, US, sleep=never)

    assert refused.value.exit_code == 14


def test_a_living_process_of_this_machine_keeps_its_lock(storage: Storage, uri: str) -> None:
    held_by(storage, uri, replace(US, token="another start"))

    with pytest.raises(Duplicate):
        take(storage, uri, US, sleep=never)


def test_a_process_of_this_machine_that_is_gone_loses_its_lock_at_once(storage: Storage, uri: str) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    held_by(storage, uri, replace(US, pid=ended.pid, token="dead"))

    with take(storage, uri, US, sleep=never) as lock:
        assert lock.holder == US


def test_the_same_job_started_again_takes_its_own_lock(storage: Storage, uri: str) -> None:
    held_by(storage, uri, replace(OTHER, job="7"))

    with take(storage, uri, replace(US, job="7"), sleep=never) as lock:
        assert lock.generation > 0


def test_a_lock_that_nobody_renews_is_taken_over_after_a_look(storage: Storage, uri: str) -> None:
    held_by(storage, uri, OTHER)
    watched: list[float] = []

    with take(storage, uri, US, clock=in_the_future, sleep=watched.append, renew_every=15.0):
        pass

    assert watched == [30.0]


def test_an_old_lock_that_is_renewed_while_we_look_is_alive(storage: Storage, uri: str) -> None:
    held_by(storage, uri, OTHER)

    with pytest.raises(Duplicate):
        take(storage, uri, US, clock=in_the_future, sleep=lambda _: held_by(storage, uri, OTHER))


def test_a_lock_whose_content_is_broken_is_judged_by_its_age(storage: Storage, uri: str) -> None:
    storage.write(uri, b"not json")

    with pytest.raises(Duplicate):
        take(storage, uri, US, sleep=never)
    with take(storage, uri, US, clock=in_the_future, sleep=lambda _: None) as lock:
        assert lock.generation > 0


def test_a_held_lock_is_renewed(storage: Storage, uri: str) -> None:
    with take(storage, uri, US, renew_every=0.02) as lock:
        first = lock.generation
        soon(lambda: lock.generation != first)
        lock.check()


def test_a_holder_that_was_taken_over_must_stop_and_leaves_the_lock(storage: Storage, uri: str) -> None:
    with take(storage, uri, US, renew_every=0.02) as lock:
        held_by(storage, uri, OTHER)
        soon(lock.lost.is_set)
        with pytest.raises(Duplicate, match="took over"):
            lock.check()

    left = storage.read(uri)
    assert left is not None
    assert json.loads(left.content)["token"] == "other"


def test_our_own_write_whose_answer_was_lost_is_our_lock(storage: Storage, uri: str) -> None:
    held_by(storage, uri, US)

    with take(storage, uri, US, sleep=never) as lock:
        assert lock.holder == US


def soon(true: Callable[[], bool]) -> None:
    for _ in range(500):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it never came true")
