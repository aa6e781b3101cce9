"""The output of programs: one file each, with a small file beside it that says how long the log was at which time.

So programs write straight into their file and lose nothing when the server dies, and each line still has a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Line:
    """One line of output: where it begins in the file, when it was written (seconds since 1970), and what it says."""

    offset: int
    time: float
    text: str


def note_growth(log: Path, noted: int, now: float) -> int:
    """Remember that everything up to the present length was written by `now`. Returns that length."""
    try:
        size = log.stat().st_size
    except OSError:
        return noted
    if size > noted:
        with _times_file(log).open("a", encoding="ascii") as times:
            times.write(f"{size} {now:.6f}\n")
    return size


def read_lines(log: Path, now: float) -> Iterator[Line]:
    """All whole lines; what was not noted yet counts as written `now`. A last line without its end counts too."""
    try:
        text = log.read_bytes()
    except OSError:
        return
    sizes, times = _times(log)
    offset = 0
    last = 0.0
    for raw in text.splitlines(keepends=True):
        at = bisect_right(sizes, offset)
        # No two lines share a time, so that "after this one" can be asked for.
        last = max(times[at] if at < len(times) else now, last + 0.000001)
        yield Line(offset, last, raw.decode("utf-8", errors="replace").rstrip("\r\n"))
        offset += len(raw)


def tail(log: Path, lines: int = 20) -> str:
    """The last lines, for an error message."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 16_384))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _times(log: Path) -> tuple[list[int], list[float]]:
    sizes: list[int] = []
    times: list[float] = []
    try:
        found = _times_file(log).read_text(encoding="ascii")
    except OSError:
        return sizes, times
    for line in found.splitlines():
        size, _, moment = line.partition(" ")
        if moment:
            sizes.append(int(size))
            times.append(float(moment))
    return sizes, times


def _times_file(log: Path) -> Path:
    return log.with_suffix(".times")
