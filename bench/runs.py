"""Whole processes and what they take: seconds by the clock and of CPU, and memory with all their children."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Ran:
    """A process that has ended. `peak_mb` is the largest sum over it and its children; shared pages count twice."""

    wall_s: float
    cpu_s: float
    peak_mb: int


def run(words: Sequence[str], folder: Path, codes: Sequence[int] = (0,)) -> Ran:
    """Run a process that must end with one of `codes`."""
    begin = time.perf_counter()
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while True:
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        peak = max(peak, sum(_resident(pid) for pid in _family(process.pid)))
        time.sleep(_LOOK_EVERY_S if peak > 100_000_000 else 0.005)
    spent = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in codes:
        raise subprocess.CalledProcessError(process.returncode, list(words))
    return Ran(spent, used.ru_utime + used.ru_stime, max(peak, used.ru_maxrss * 1024) // 1_000_000)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a running process has taken."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def wait_until_idle(pid: int) -> None:
    """Wait until a process takes next to no CPU."""
    before = cpu_of(pid)
    while True:
        time.sleep(1.0)
        now = cpu_of(pid)
        if now - before < 0.1:
            return
        before = now


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        yield from map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def _resident(pid: int) -> int:
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return 0
