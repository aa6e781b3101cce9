"""TensorBoard's event files where Vertex AI looks for them: `AIP_TENSORBOARD_LOG_DIR`, a folder of the bucket.

They are written on this disk and copied whole now and then and at the end. What goes wrong in copying is told once and
ends no training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from images.train.failures import TrainingFailed
from images.train.progress import Progress
from images.train.storage import Storage

EVERY_S = 60.0
VARIABLE = "AIP_TENSORBOARD_LOG_DIR"


@dataclass(slots=True)
class Board:
    """A writer to `uri` (empty: to nowhere), by way of `folder` on this disk. A context that is closed at the end."""

    storage: Storage
    uri: str
    folder: Path
    progress: Progress
    clock: Callable[[], float] = time.monotonic
    _writer: Any = None
    _copied: float = field(default=0.0, init=False)
    _told: bool = field(default=False, init=False)

    def __enter__(self) -> Board:
        self._copied = self.clock()
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
            self._copy()

    def add(self, values: Mapping[str, Any], step: int) -> None:
        """Write the finite numbers among `values`, each under its name."""
        numbers = {name: float(value) for name, value in values.items() if _finite(value)}
        if not self.uri or not numbers:
            return
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        if self._writer is None:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter

            self._writer = EventFileWriter(str(self.folder))
        shown = [Summary.Value(tag=name, simple_value=value) for name, value in sorted(numbers.items())]
        self._writer.add_event(Event(wall_time=self.progress.clock(), step=step, summary=Summary(value=shown)))
        if self.clock() - self._copied >= EVERY_S:
            self._writer.flush()
            self._copy()

    def callback(self) -> Any:
        """A trainer callback that writes what the trainer logs, as `train/loss`, `eval/loss` and so on."""
        from transformers import TrainerCallback

        def on_log(_: Any, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            self.add({_tag(name): value for name, value in (logs or {}).items()}, state.global_step)

        return type("Boarder", (TrainerCallback,), {"on_log": on_log})()

    def _copy(self) -> None:
        self._copied = self.clock()
        try:
            self.storage.upload_folder(self.folder, self.uri.rstrip("/"))
        except TrainingFailed as failed:
            if not self._told:
                self.progress.note(f"TensorBoard's events are not in the bucket: {failed}")
            self._told = True


def _tag(name: str) -> str:
    return f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name.removeprefix('train_')}"


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
