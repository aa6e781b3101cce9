"""Process trees: which processes belong to a piece of work, and how to end them. Never a stranger's.

A process is ours when its environment carries our mark (Linux), or when it has the recorded pid *and* start time.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from reconciler.emulator.work.containers import MARK

_PROC = Path("/proc")


def started_at(pid: int) -> str:
    """The start time of a process in the kernel's own count, empty when it cannot be told."""
    try:
        after_name = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except OSError:
        return ""
    return after_name.split()[19]


def marked(mark: str) -> Iterator[int]:
    """The pids of living processes that carry this mark, or a mark beneath it. None where there is no /proc."""
    needle = f"{MARK}={mark}".encode()
    for entry in _PROC.glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            variables = (entry / "environ").read_bytes().split(b"\0")
            if any(v == needle or v.startswith(needle + b"/") for v in variables) and not _is_zombie(entry):
                yield int(entry.name)


def signal_tree(pid: int, mark: str, number: signal.Signals, *, group_lives: bool) -> None:
    """Signal the process group that `pid` leads, and whatever left the group but carries the mark.

    `group_lives` says that its leader has not been reaped: else the number may have become a stranger's group.
    """
    if group_lives:
        with suppress(OSError):
            os.killpg(pid, number)
    for other in marked(mark):
        with suppress(OSError):
            os.kill(other, number)


def end_leftovers(mark: str, recorded: dict[int, str]) -> int:
    """Kill what a killed server left: everything marked, and recorded pid -> start time. Returns how many."""
    ended = 0
    for pid, started in recorded.items():
        if started and started_at(pid) == started:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
                ended += 1
    for pid in marked(mark):
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
            ended += 1
    return ended


def _is_zombie(entry: Path) -> bool:
    text = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    return text.split()[0] in ("Z", "X")
