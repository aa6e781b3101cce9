"""`loraform plan` on a thousand to ten thousand experiments, all live and in sync: three to four live objects and one
run record each. Cold, with one manifest edited, and beside octoDNS on three records an experiment.

The processes take turns, so that a busy machine is busy for all. The embedded Vertex AI shares the machine: its CPU
time is told apart. To fill it takes some 6 ms an experiment.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import fleet, live, octodns
from bench.runs import Ran, cpu_of, run, wait_until_idle
from bench.timing import Figure, summary
from reconciler.repo.sheet_files import FOLDER
from tests.emulator_fixture import start_emulator, stop_emulator

SIZES = (1_000, 3_000, 10_000)
RUNS = 3
NOTHING, CHANGES = 0, 2
"""Exit codes of `loraform plan`."""


@dataclass(slots=True)
class _Turns:
    ours: list[Ran] = field(default_factory=list)
    served: list[float] = field(default_factory=list)


def figures() -> Iterator[Figure]:
    """Per size: how long the fleet took to build, plans cold, with one edit, again, and octoDNS."""
    for size in SIZES:
        with _folder() as folder:
            root = folder / "repository"
            fleet.write_repository(root, size)
            begin = time.perf_counter()
            objects = live.fill(root, root / fleet.STATE)
            yield {"figure": "fill the embedded Vertex AI", "experiments": size, "objects": objects,
                   "s": round(time.perf_counter() - begin, 1)}  # fmt: skip
            server = start_emulator(root / fleet.STATE, fleet.PROGRAMS, "--jobs-at-once", "100000", within_s=60)
            try:
                wait_until_idle(server.pid)
                yield from _rounds(root, folder / "dns", size, server.pid)
            finally:
                stop_emulator(server, within_s=120)


def _rounds(root: Path, dns: Path, size: int, server: int) -> Iterator[Figure]:
    peer = octodns.command(dns, size * fleet.OBJECTS) if octodns.SYNC.exists() else None
    manifest = root / f"experiments/bot-{size // 2}.yaml"
    text = manifest.read_text()
    cold, edited, again = _Turns(), _Turns(), _Turns()
    theirs: list[Ran] = []
    for number in range(1, RUNS + 1):
        shutil.rmtree(root / FOLDER, ignore_errors=True)
        _plan(root, server, cold, NOTHING)
        if peer is not None:
            theirs.append(run(peer, dns))
        manifest.write_text(text.replace("r: 16", f"r: {16 + number}"))
        _plan(root, server, edited, CHANGES)
        manifest.write_text(text)
        _plan(root, server, again, NOTHING)
    yield _told("plan, cold", cold, size)
    yield _told("plan, one manifest edited", edited, size)
    yield _told("plan, one manifest edited back", again, size)
    if peer is None:
        yield {"figure": "octodns-sync", "left_out": f"install it: {octodns.INSTALL}"}
        return
    yield summary("octodns-sync", [ran.wall_s for ran in theirs], records=size * fleet.OBJECTS, **_of(theirs))
    pairs = [mine.wall_s / other.wall_s for mine, other in zip(cold.ours, theirs, strict=True)]
    least = min(ran.wall_s for ran in cold.ours) / min(ran.wall_s for ran in theirs)
    yield {"figure": "plan, cold / octodns-sync", "experiments": size, "median_of_ratios": _round(pairs),
           "ratio_of_minima": round(least, 2)}  # fmt: skip


def _plan(root: Path, server: int, turns: _Turns, code: int) -> None:
    before = cpu_of(server)
    turns.ours.append(run([fleet.LORAFORM, "plan"], root, (code,)))
    turns.served.append(cpu_of(server) - before)


def _told(name: str, turns: _Turns, size: int) -> Figure:
    served = round(statistics.median(turns.served), 2)
    return summary(name, [ran.wall_s for ran in turns.ours], experiments=size, **_of(turns.ours), emulator_cpu_s=served)


def _of(runs: list[Ran]) -> Figure:
    return {
        "cpu_s": round(statistics.median(ran.cpu_s for ran in runs), 2),
        "peak_mb": max(ran.peak_mb for ran in runs),
    }


def _round(ratios: list[float]) -> float:
    return round(statistics.median(ratios), 2)


@contextmanager
def _folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)
