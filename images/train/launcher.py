"""From Vertex AI's words for several machines and accelerators to torch's, and one process for each accelerator.

`CLUSTER_SPEC` tells how many machines there are and which one this is; how many processes each runs is counted here.
torchrun would do the same, and would hide which kind of failure ended a process: the exit code is a class of cause.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

PORT = 29500
POLL_S = 0.1
GRACE_S = 25.0


@dataclass(frozen=True, slots=True)
class Place:
    """This machine among all: `node` of `nodes`, with `local` processes each; the first machine's `address`, `port`."""

    nodes: int = 1
    node: int = 0
    local: int = 1
    address: str = "127.0.0.1"
    port: int = PORT

    @property
    def size(self) -> int:
        """Processes of all machines."""
        return self.nodes * self.local

    def variables(self, index: int) -> dict[str, str]:
        """What torch wants to know in the environment of process `index` of this machine."""
        return {
            "RANK": str(self.node * self.local + index),
            "LOCAL_RANK": str(index),
            "WORLD_SIZE": str(self.size),
            "LOCAL_WORLD_SIZE": str(self.local),
            "MASTER_ADDR": self.address,
            "MASTER_PORT": str(self.port),
        }


def place_of(env: Mapping[str, str], accelerators: int) -> Place:
    """Where this machine stands. ValueError for a CLUSTER_SPEC that is none."""
    local = max(1, accelerators)
    text = env.get("CLUSTER_SPEC", "")
    if not text:
        return Place(local=local)
    try:
        told = json.loads(text)
        pools, task = told["cluster"], told["task"]
        everyone = [(pool, index) for pool in sorted(pools) for index in range(len(pools[pool]))]
        host, _, port = str(pools[everyone[0][0]][0]).rpartition(":")
        return Place(len(everyone), everyone.index((task["type"], int(task["index"]))), local, host, int(port))
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ValueError(f"CLUSTER_SPEC cannot be read: {error}") from error


def accelerators(env: Mapping[str, str], devices: Path = Path("/dev")) -> int:
    """How many GPUs this machine has, counted without importing torch."""
    chosen = env.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return len([name for name in chosen.split(",") if name.strip() not in ("", "-1")])
    return sum(bool(re.fullmatch(r"nvidia\d+", path.name)) for path in devices.glob("nvidia*"))


def launch(place: Place, words: Sequence[str], env: Mapping[str, str]) -> int:
    """Run one process for each accelerator of this machine; the exit code of the first that fails, else 0.

    When one ends with a failure the others are ended, after a while by force. Signals are handed on to all.
    """
    started = [
        subprocess.Popen([sys.executable, "-m", "images.train", *words], env={**env, **place.variables(index)})
        for index in range(place.local)
    ]

    def hand_on(number: int, frame: FrameType | None) -> None:
        for process in started:
            if process.poll() is None:
                process.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while True:
            codes = [process.poll() for process in started]
            failed = next((code for code in codes if code), None)
            if failed is not None:
                _end(started)
                return failed if failed > 0 else 128 - failed
            if all(code == 0 for code in codes):
                return 0
            time.sleep(POLL_S)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(started: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in started:
        if process.poll() is None:
            process.terminate()
    for process in started:
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def enter(env: Mapping[str, str], words: Sequence[str]) -> int | None:
    """Start what has to be started, and give its exit code; None where this process is to train itself.

    On a machine with one process that process is this one: torch's variables are then set in `os.environ`.
    """
    if "RANK" in env:
        return None
    place = place_of(env, accelerators(env))
    if place.local > 1:
        return launch(place, words, env)
    if place.size > 1:
        os.environ.update(place.variables(0))
    return None
