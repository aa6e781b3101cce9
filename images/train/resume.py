"""Checkpoints against interruption: by time, and at a signal, the whole training goes to the bucket, and a later job of
the same identity goes on from there.

A checkpoint is transformers' own (weights, optimiser, scheduler, random numbers, position in the data) in a folder by
its step; `latest.json` is written after it and names it. One that was made for other rows, libraries or another number
of processes is left aside, and the run begins anew. What goes wrong in writing one is told and ends no training.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from images.common.storage import fetch_folder
from images.train.failures import Interrupted, TrainingFailed
from images.train.masks import Encoded
from images.train.progress import Progress
from images.train.signals import Notice
from images.train.storage import Storage, child, is_bucket

LATEST = "latest.json"
WORTH_S = 60.0
"""Seconds of training that nobody wants to do again for an interruption after it."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """A checkpoint on this disk; `step` 0 and no folder where the run begins. `seconds` were spent before it."""

    folder: Path | None = None
    step: int = 0
    seconds: float = 0.0

    @property
    def history(self) -> list[dict[str, Any]]:
        """What the trainer logged until then."""
        if self.folder is None:
            return []
        found = json.loads((self.folder / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
        return list(found)

    def loss(self, loss: float, steps: int) -> float:
        """The mean training loss of all `steps`, when `loss` is that of the steps since."""
        lost, before = 0.0, 0
        for entry in self.history:
            if "loss" in entry:
                lost += float(entry["loss"]) * (int(entry["step"]) - before)
                before = int(entry["step"])
        return (lost + loss * (steps - self.step)) / steps if steps else loss


@dataclass(slots=True)
class Checkpoints:
    """The checkpoints of one run, below `uri`. `every` is in seconds; `fingerprint` tells what they fit."""

    storage: Storage
    uri: str
    every: float
    fingerprint: str
    progress: Progress
    check: Callable[[], None]
    notice: Notice
    writes: bool = True
    """False for processes that only train: the first one of them all writes."""
    clock: Callable[[], float] = time.monotonic
    _written: str = field(default="", init=False)

    def find(self, scratch: Path) -> Resumed:
        """The newest checkpoint that fits, fetched into `scratch`; none where there is none."""
        found = self.storage.read(child(self.uri, LATEST))
        if found is None:
            return Resumed()
        try:
            told = json.loads(found.content)
            folder, step, seconds = str(told["folder"]), int(told["step"]), float(told["seconds"])
            files = sorted(map(str, told["files"]))
            if told["fingerprint"] != self.fingerprint:
                self.progress.note("a checkpoint is there, of other rows, libraries or processes: the run begins anew")
                return Resumed()
            client = self.storage.google() if is_bucket(self.uri) else None
            place = fetch_folder(child(self.uri, folder), scratch, client=client)
        except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
            self.progress.note(f"the checkpoint cannot be read and the run begins anew: {error}")
            return Resumed()
        if sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()) != files:
            self.progress.note("the checkpoint is not whole: the run begins anew")
            return Resumed()
        self._written = folder
        self.progress.say("resumed", step=step, uri=child(self.uri, folder))
        return Resumed(place, step, seconds)

    def keep(self, folder: Path, step: int, seconds: float) -> None:
        """Write the checkpoint that lies in `folder`, and remove the one before. Never fails for the bucket's sake."""
        name, before = f"step-{step}", self._written
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        told = {
            "folder": name,
            "step": step,
            "seconds": round(seconds, 3),
            "files": files,
            "fingerprint": self.fingerprint,
        }
        self.check()
        try:
            self.storage.upload_folder(folder, child(self.uri, name))
            self.storage.write(child(self.uri, LATEST), json.dumps(told, sort_keys=True).encode())
            self._written = name
            self.progress.say("saved", step=step, uri=child(self.uri, name))
            if before and before != name:
                _remove(self.storage, child(self.uri, before))
        except TrainingFailed as failed:
            self.progress.note(f"no checkpoint could be written at step {step}, and the training goes on: {failed}")


def clear(storage: Storage, uri: str, progress: Progress) -> None:
    """Remove all checkpoints below `uri`: the run is recorded."""
    try:
        storage.delete(child(uri, LATEST))
        _remove(storage, uri)
    except TrainingFailed as failed:
        progress.note(f"checkpoints are left in {uri}: {failed}")


def _remove(storage: Storage, folder: str) -> None:
    for one in storage.matching(child(folder, "**/*")):
        storage.delete(one.partition("#")[0] if is_bucket(one) else one)


def fingerprint(identity: str, rows: Sequence[Encoded], processes: int, versions: dict[str, str]) -> str:
    """What a checkpoint fits: the identity, the very tokens, the number of processes, the libraries."""
    digest = hashlib.sha256(json.dumps([identity, processes, versions], sort_keys=True).encode())
    for row in rows:
        digest.update(f"{row.input_ids}{row.labels}".encode())
    return digest.hexdigest()


def saver(checkpoints: Checkpoints, resumed: Resumed, agree: Callable[[bool], bool], keep_local: bool) -> Any:
    """A trainer callback that orders a checkpoint when it is time, or when the notice came, and writes it away.

    `agree` gives the first process's answer to all. Local checkpoints are removed unless `keep_local`. After the one
    that a notice asked for it raises `Interrupted`.
    """
    from transformers import TrainerCallback

    last = [checkpoints.clock()]
    began = checkpoints.clock()
    ordered: list[int] = []

    def on_step_end(_: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        due = checkpoints.notice.came or checkpoints.clock() - last[0] >= checkpoints.every
        # The last step of a training that took some time is kept: the evaluation may be interrupted as well.
        done = state.global_step >= state.max_steps and checkpoints.clock() - began >= min(checkpoints.every, WORTH_S)
        if agree(bool(due or done)):
            control.should_save = control.should_log = True
            ordered.append(state.global_step)

    def on_save(_: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step = state.global_step
        if not ordered or ordered[-1] != step:
            return
        folder = Path(args.output_dir) / f"checkpoint-{step}"
        if checkpoints.writes:
            checkpoints.keep(folder, step, resumed.seconds + checkpoints.clock() - began)
            if not keep_local:
                shutil.rmtree(folder, ignore_errors=True)
        last[0] = checkpoints.clock()
        if agree(bool(checkpoints.notice.came)):
            raise Interrupted(
                f"Interrupted by {checkpoints.notice.came or 'a signal'} after step {step}",
                "Run again: it goes on from there.",
            )

    return type("Saver", (TrainerCallback,), {"on_step_end": on_step_end, "on_save": on_save})()
