"""`loraform plan` as a whole process, cold, with nothing to change: wall time, beside octoDNS on as many records.

The two take turns, so that a busy machine is busy for both. The CPU time of the embedded Vertex AI is told apart.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import fleet, octodns
from bench.runs import Ran, cpu_of, run
from bench.timing import Figure, summary
from tests.emulator_fixture import start_emulator, stop_emulator

SIZES = (1, 100)
RUNS = 5


def figures() -> Iterator[Figure]:
    """Fleets of one and of a hundred experiments; brought in sync by apply; larger ones: `scale`."""
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
        before = cpu_of(server)
        ours.append(run([fleet.LORAFORM, "plan"], root))
        served.append(cpu_of(server) - before)
        if peer is not None:
            theirs.append(run(peer, dns))
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
