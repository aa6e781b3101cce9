"""The embedded Vertex AI as its users meet it: a process, reached over HTTP.

Start, memory, requests a second, and an object of 5 GB in and out.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.timing import Figure, summary
from tests.emulator_fixture import emulator_card, start_emulator, stop_emulator

PROGRAMS = {"hold": "hold"}
LARGE, PIECE = 5 * 1024**3, 1024**2
LISTS = tuple(f"/v1/projects/bench/locations/us-central1/{kind}" for kind in ("customJobs", "models", "endpoints"))


def figures() -> Iterator[Figure]:
    """Start to the first lists; at rest; load of a raw client; 10,000 jobs by pages of 100; one large object."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        spent = [_start_to_ready(root / f"start-{number}") for number in range(6)][1:]
        yield summary("start to first lists", spent)
        process = start_emulator(root / "load", PROGRAMS)
        try:
            url = emulator_card(root / "load")["url"]
            _lists(root / "load")
            time.sleep(1.0)
            yield {"figure": "memory at rest", "rss_mb": _megabytes(process.pid)}
            words = [sys.executable, "-m", "bench.raw", url]
            found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
            yield {"figure": "get a custom job", "per_s": found["gets_per_s"]}
            yield {"figure": "create a custom job", "per_s": found["creates_per_s"]}
            yield {"figure": "list custom jobs by pages of 100", "median_s": found["list_s"], "jobs": 10_000}
            yield {"figure": "memory with 10,000 jobs", "rss_mb": _megabytes(process.pid)}
        finally:
            stop_emulator(process, within_s=60)
        yield from _large_object(root / "large")


def _large_object(state: Path) -> Iterator[Figure]:
    """One object written and read as a stream: how fast, and how much memory the server took at most for it."""
    process = start_emulator(state, PROGRAMS)
    try:
        _lists(state)
        url = emulator_card(state)["url"]
        before = _peak_megabytes(process.pid)
        body = json.dumps({"name": "large"}).encode()
        headers = {"content-type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(f"{url}/storage/v1/b?project=p", body, headers)).close()
        begin = time.perf_counter()
        place = f"{url}/upload/storage/v1/b/large/o?uploadType=media&name=object"
        sized = {"content-type": "application/octet-stream", "content-length": str(LARGE)}
        pieces = (bytes(PIECE) for _ in range(LARGE // PIECE))
        with urllib.request.urlopen(urllib.request.Request(place, pieces, sized), timeout=600) as answer:
            assert int(json.load(answer)["size"]) == LARGE
        written = time.perf_counter() - begin
        begin, read = time.perf_counter(), 0
        with urllib.request.urlopen(f"{url}/storage/v1/b/large/o/object?alt=media", timeout=600) as answer:
            while piece := answer.read(PIECE):
                read += len(piece)
        assert read == LARGE
        yield {"figure": "object of 5 GB written", "mb_per_s": round(LARGE / 1e6 / written)}
        yield {"figure": "object of 5 GB read", "mb_per_s": round(LARGE / 1e6 / (time.perf_counter() - begin))}
        grown = _peak_megabytes(process.pid) - before
        yield {"figure": "memory that 5 GB took besides, at most", "rss_mb": grown}
    finally:
        stop_emulator(process, within_s=60)


def _peak_megabytes(pid: int) -> int:
    """The largest memory that a process has had (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return round(int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1_000_000)


def _start_to_ready(state: Path) -> float:
    """Seconds until a fresh server has listed jobs, models and endpoints, so that Google's types are loaded."""
    begin = time.perf_counter()
    process = start_emulator(state, PROGRAMS)
    try:
        _lists(state)
        return time.perf_counter() - begin
    finally:
        stop_emulator(process)


def _lists(state: Path) -> None:
    for path in LISTS:
        with urllib.request.urlopen(f"{emulator_card(state)['url']}{path}", timeout=30) as answer:
            answer.read()


def _megabytes(pid: int) -> int:
    return round(psutil.Process(pid).memory_info().rss / 1_000_000)
