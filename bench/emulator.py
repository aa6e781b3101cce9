"""The embedded Vertex AI as its users meet it: a process, reached over HTTP. Start, memory, requests a second."""

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
LISTS = tuple(f"/v1/projects/bench/locations/us-central1/{kind}" for kind in ("customJobs", "models", "endpoints"))


def figures() -> Iterator[Figure]:
    """From start to the first lists; at rest; under load of a raw client; 10,000 jobs by pages of 100."""
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
