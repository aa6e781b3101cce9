from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from images.train.failures import StorageFailed
from images.train.masks import Encoded
from images.train.progress import Progress
from images.train.resume import Checkpoints, Resumed, clear, fingerprint
from images.train.signals import Notice, Signalled
from images.train.storage import Storage

Heard = tuple[Progress, Callable[[], list[dict[str, Any]]]]


class Full(Storage):
    """A bucket that takes nothing."""

    def upload_folder(self, source: Path, folder: str) -> None:
        raise StorageFailed("no", "wait")


def checkpoints(tmp_path: Path, heard: Heard, mark: str = "mark", storage: Storage | None = None) -> Checkpoints:
    place = str(tmp_path / "bucket")
    return Checkpoints(storage or Storage(), place, 600.0, mark, heard[0], lambda: None, Notice())


def folder(tmp_path: Path, step: int) -> Path:
    made = tmp_path / f"checkpoint-{step}"
    made.mkdir()
    history = [{"loss": 4.0, "step": 2}, {"loss": 1.0, "step": 4}, {"eval_loss": 3.0, "step": 4}]
    (made / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    return made


def test_the_newest_checkpoint_is_gone_on_from_and_the_one_before_removed(tmp_path: Path, heard: Heard) -> None:
    keeping = checkpoints(tmp_path, heard)
    keeping.keep(folder(tmp_path, 2), 2, 10.0)
    keeping.keep(folder(tmp_path, 4), 4, 20.0)

    found = checkpoints(tmp_path, heard).find(tmp_path / "scratch")

    assert (found.step, found.seconds) == (4, 20.0)
    assert sorted(path.name for path in (tmp_path / "bucket").iterdir() if any(path.glob("*"))) == ["step-4"]


def test_the_loss_is_that_of_all_steps(tmp_path: Path) -> None:
    assert Resumed(folder(tmp_path, 4), 4).loss(2.5, 6) == pytest.approx((2 * 4 + 2 * 1 + 2 * 2.5) / 6)
    assert Resumed().loss(2.5, 6) == 2.5


@pytest.mark.parametrize("broken", ["mark", "file", "json"])
def test_what_does_not_fit_or_is_not_whole_is_left_aside(tmp_path: Path, heard: Heard, broken: str) -> None:
    checkpoints(tmp_path, heard).keep(folder(tmp_path, 2), 2, 10.0)
    if broken == "file":
        (tmp_path / "bucket/step-2/trainer_state.json").rename(tmp_path / "bucket/step-2/other.json")
    if broken == "json":
        (tmp_path / "bucket/latest.json").write_text("{")

    found = checkpoints(tmp_path, heard, "other" if broken == "mark" else "mark").find(tmp_path / "scratch")

    assert found == Resumed()
    assert "begins anew" in heard[1]()[-1]["text"]


def test_a_bucket_that_refuses_a_checkpoint_ends_no_training(tmp_path: Path, heard: Heard) -> None:
    checkpoints(tmp_path, heard, storage=Full()).keep(folder(tmp_path, 2), 2, 10.0)

    assert "the training goes on" in heard[1]()[-1]["text"]


def test_a_recorded_run_leaves_no_checkpoint(tmp_path: Path, heard: Heard) -> None:
    keeping = checkpoints(tmp_path, heard)
    keeping.keep(folder(tmp_path, 2), 2, 10.0)

    clear(keeping.storage, keeping.uri, heard[0])

    assert not [path for path in (tmp_path / "bucket").rglob("*") if path.is_file()]


def test_other_rows_processes_or_libraries_make_another_fingerprint() -> None:
    row = Encoded((1, 2), (-100, 2), 1, "b")

    marks = {
        fingerprint("id", [row], 1, {"trl": "1"}),
        fingerprint("id", [row], 2, {"trl": "1"}),
        fingerprint("id", [row], 1, {"trl": "2"}),
        fingerprint("id", [row, row], 1, {"trl": "1"}),
    }

    assert len(marks) == 4


def test_a_signal_waits_for_the_step_and_a_second_one_does_not() -> None:
    notice = Notice()
    noted: list[str] = []

    def work() -> None:
        with notice.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            noted.append(notice.came)
            os.kill(os.getpid(), signal.SIGTERM)
            noted.append("went on")

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)}
    notice.listen()
    try:
        with pytest.raises(Signalled, match="SIGTERM"):
            work()
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)

    assert noted == ["SIGTERM"]
