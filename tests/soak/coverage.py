"""What the histories have exercised, and what they never reached: the simulation's own coverage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from reconciler.core.changes import Reason
from tests.soak.hands import CONSOLE, VERBS
from tests.soak.repository import EDITS

FAULTS = ("429", "503 before", "503 after", "500 before", "500 after", "lost before", "lost after")
"""What can befall every call; see `faults.py`."""


def lines_of(counts: Counter[str]) -> Iterator[str]:
    """A table of all counts, sorted, and then what never came up."""
    for key in sorted(counts):
        yield f"{counts[key]:9}  {key}"
    yield from (f"    never  {key}" for key in never(counts))


def never(counts: Counter[str]) -> list[str]:
    """Reasons, edits, deeds, faults and crash points that could have come up and did not."""
    reasons = {key.partition(": ")[2] for key in counts if key.startswith("row ")}
    calls = {key.removeprefix("call ") for key in counts if key.startswith("call ")}
    missing = [f"row of any action: {reason}" for reason in Reason if reason not in reasons]
    missing += [f"edit {edit}" for edit in EDITS if f"edit {edit}" not in counts]
    missing += [f"hand {deed}" for deed in (*VERBS, *CONSOLE) if f"hand {deed}" not in counts]
    for call in calls:
        missing += [f"crash {when} {call}" for when in ("before", "after") if f"crash {when} {call}" not in counts]
        missing += [f"fault {word}: {call}" for word in FAULTS if f"fault {word}: {call}" not in counts]
    return sorted(missing)
