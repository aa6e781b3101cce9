"""Seconds of repeated runs, as a figure with median, minimum and maximum."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Figure = dict[str, Any]


def figure(name: str, run: Callable[[], object], runs: int = 5, **more: Any) -> Figure:
    """Call `run` once to warm up, then `runs` times; seconds."""
    run()
    return summary(name, [_seconds(run) for _ in range(runs)], **more)


def summary(name: str, seconds: list[float], **more: Any) -> Figure:
    """Median, minimum and maximum of measured seconds."""
    median, least, most = statistics.median(seconds), min(seconds), max(seconds)
    return {"figure": name, "median_s": round(median, 4), "min_s": round(least, 4), "max_s": round(most, 4), **more}


def command(*argv: str, folder: Path | None = None) -> Callable[[], object]:
    """A whole process, its output thrown away; it must succeed."""
    return lambda: subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _seconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin
