"""Which artifacts of finished runs are kept, and why. What no rule keeps may be pruned.

Who serves, what commits name and what is protected comes in as sets of stamps: the rule itself knows neither git nor a
cloud. A pruned artifact can be made again by training; this module only says which ones that would be.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

NEWEST = 3
"""So many of an experiment's runs are kept, whatever else holds."""
COMMITS = 20
"""What one of so many last commits of a manifest names is kept."""


class Keep(StrEnum):
    """Why an artifact is kept; of several reasons the first one here is told."""

    SERVES = "it serves"
    TRAINS = "it is being trained"
    PROTECTED = "protected"
    NAMED = f"one of the last {COMMITS} commits names it"
    UNREADABLE = f"one of the last {COMMITS} commits cannot be read, and may name it"
    DEFAULT = "its version is the model's default one"
    ELSEWHERE = "its artifact is not in the fleet's folder"
    NEWEST = "one of the newest three"


@dataclass(frozen=True, slots=True)
class Stored:
    """The artifact of one finished run, as the bucket has it."""

    identity: str
    """64 hex digits."""
    stamp: str
    experiment: str
    """For which it was trained; others may share the run."""
    written: float
    """When its record was written, in seconds since the epoch."""
    size: int = 0
    """Bytes."""
    objects: int = 0
    pruned: bool = False
    seconds: float = 0.0
    """How long the run took, where known."""
    made_from: str = ""
    """The stamp of the run whose adapter was merged: what is merged is kept as long as the adapter."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An artifact that stays, and why."""

    stored: Stored
    why: Keep


@dataclass(frozen=True, slots=True)
class Pruning:
    """What a prune would do. `unfinished` are pruned already, and some of their objects are left."""

    prunable: tuple[Stored, ...] = ()
    unfinished: tuple[Stored, ...] = ()
    kept: tuple[Kept, ...] = ()

    @property
    def going(self) -> tuple[Stored, ...]:
        """All that would go."""
        return (*self.prunable, *self.unfinished)

    @property
    def id(self) -> str:
        """The first 12 hex digits of a hash of all that would go."""
        rows = sorted(f"{item.identity} {item.objects}" for item in self.going)
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:12]


def pruning(stored: Iterable[Stored], keepers: Mapping[Keep, Collection[str]]) -> Pruning:
    """What goes and what stays, by experiment, the newest first. `keepers` are stamps, or experiments' names for the
    reasons that hold for all runs of one (`PROTECTED`, `UNREADABLE`).
    """
    ordered = sorted(stored, key=lambda item: (item.experiment, -item.written, item.identity))
    newest: dict[str, list[str]] = defaultdict(list)
    for item in ordered:
        if not item.pruned and not item.made_from:
            newest[item.experiment].append(item.stamp)
    prunable: list[Stored] = []
    unfinished: list[Stored] = []
    kept: list[Kept] = []
    for item in ordered:
        why = _why(item, keepers, newest[item.experiment][:NEWEST])
        if item.pruned:
            if item.objects and why is not Keep.TRAINS:
                unfinished.append(item)
        elif why is not None:
            kept.append(Kept(item, why))
        else:
            prunable.append(item)
    return Pruning(tuple(prunable), tuple(unfinished), tuple(kept))


def _why(item: Stored, keepers: Mapping[Keep, Collection[str]], newest: Collection[str]) -> Keep | None:
    known = {**keepers, Keep.NEWEST: newest}
    names = {item.stamp, item.experiment, item.made_from} - {""}
    return next((keep for keep in Keep if not names.isdisjoint(known.get(keep, ()))), None)
