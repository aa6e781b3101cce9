"""`loraform plan` as a whole process, cold, with nothing to change: wall time, beside octoDNS on as many records.

The two take turns, so that a busy machine is busy for both. The CPU time of the embedded Vertex AI is told apart.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import fleet, octodns
from bench.timing import Figure, summary
from tests.emulator_fixture import start_emulator, stop_emulator

SIZES = (1, 100)
RUNS = 5


@dataclass(frozen=True, slots=True)
class Ran:
    """A process that has ended: seconds by the clock and of CPU, and its largest memory."""

    wall_s: float
    cpu_s: float
    peak_mb: int


def figures() -> Iterator[Figure]:
    """Fleets of one and of a hundred experiments; a thousand take too long to bring in sync for a bench."""
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "repository"
            fleet.write_repository(root, size)
            server = start_emulator(root / fleet.STATE, fleet.PROGRAMS, "--jobs-at-once", "100000")
            try:
                fleet.bring_in_sync(root, size)
                yield from _turns(root, Path(folder) / "dns", size, server.pid)
            finally:
                stop_emulator(server, within_s=120)


def _turns(root: Path, dns: Path, size: int, server: int) -> Iterator[Figure]:
    records = size * fleet.OBJECTS
    peer = octodns.command(dns, records) if octodns.SYNC.exists() else None
    ours: list[Ran] = []
    theirs: list[Ran] = []
    served = []
    for _ in range(RUNS + 1):
        before = _cpu_of(server)
        ours.append(_run([fleet.LORAFORM, "plan"], root))
        served.append(_cpu_of(server) - before)
        if peer is not None:
            theirs.append(_run(peer, dns))
    plan = statistics.median(ran.wall_s for ran in ours[1:])
    yield _told("loraform plan", ours[1:], experiments=size, emulator_cpu_s=round(statistics.median(served[1:]), 3))
    if peer is None:
        yield {"figure": "octodns-sync", "left_out": f"install it: {octodns.INSTALL}"}
        return
    yield _told("octodns-sync", theirs[1:], records=records)
    ratio = plan / statistics.median(ran.wall_s for ran in theirs[1:])
    yield {"figure": "loraform plan / octodns-sync", "ratio_of_medians": round(ratio, 2), "experiments": size}


def _told(name: str, runs: Sequence[Ran], **more: float) -> Figure:
    cpu = statistics.median(ran.cpu_s for ran in runs)
    peak = max(ran.peak_mb for ran in runs)
    return summary(name, [ran.wall_s for ran in runs], cpu_s=round(cpu, 3), peak_mb=peak, **more)


def _run(words: Sequence[str], folder: Path) -> Ran:
    """Run a process that must succeed."""
    begin = time.perf_counter()
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    spent = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(words))
    return Ran(spent, used.ru_utime + used.ru_stime, used.ru_maxrss // 1000)


def _cpu_of(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
