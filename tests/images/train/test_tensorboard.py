from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from images.train import trackers
from images.train.failures import SpecInvalid, StorageFailed
from images.train.progress import Progress
from images.train.storage import Storage
from images.train.tensorboard import Board

Heard = tuple[Progress, Callable[[], list[dict[str, Any]]]]


class Full(Storage):
    """A bucket that takes nothing."""

    def upload_folder(self, source: Path, folder: str) -> None:
        raise StorageFailed("no", "wait")


def test_events_lie_in_the_bucket_as_tensorboard_reads_them(tmp_path: Path, heard: Heard) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with Board(Storage(), str(tmp_path / "bucket"), tmp_path / "board", heard[0]) as board:
        board.add({"train/loss": 2.5, "train/note": "text", "train/bad": float("nan")}, 10)
        board.add({"train/loss": 1.5}, 20)

    read = EventAccumulator(str(tmp_path / "bucket"))
    read.Reload()
    assert read.Tags()["scalars"] == ["train/loss"]
    assert [(one.step, one.value) for one in read.Scalars("train/loss")] == [(10, 2.5), (20, 1.5)]


def test_without_a_place_nothing_is_written(tmp_path: Path, heard: Heard) -> None:
    with Board(Storage(), "", tmp_path / "board", heard[0]) as board:
        board.add({"train/loss": 2.5}, 10)

    assert not (tmp_path / "board").exists()


def test_a_bucket_that_refuses_is_told_once(tmp_path: Path, heard: Heard) -> None:
    with Board(
        Full(), "gs://b/logs", tmp_path / "board", heard[0], clock=iter(range(0, 10_000, 100)).__next__
    ) as board:
        board.add({"train/loss": 2.5}, 10)
        board.add({"train/loss": 1.5}, 20)

    assert [event["text"] for event in heard[1]()] == ["TensorBoard's events are not in the bucket: no. wait"]


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_tracker_that_the_image_lacks_is_told_before_the_training(name: str) -> None:
    if importlib.util.find_spec(name) is not None:
        pytest.skip(f"{name} is installed here")
    with pytest.raises(SpecInvalid, match=f"names {name}, and the package {name} is not in this image"):
        trackers.check(["tensorboard", name])


def test_no_tracker_needs_nothing() -> None:
    trackers.check("none")
    trackers.check(None)
    trackers.tell("none", {"eval_loss": 1.0})
