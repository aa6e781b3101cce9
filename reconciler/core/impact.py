"""What a person will feel of a plan, as values: machine time, answers, the address. `felt.py` computes them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.resources import Json


class Answers(StrEnum):
    """What becomes of the requests that the experiment answers."""

    GO_ON = "go on"
    GAP = "gap"
    """Nothing answers from the moment that the old deployment goes until the new one is ready."""
    END = "end"
    BEGIN = "begin"
    NONE = "none"
    """None are answered, before or after."""


class Home(StrEnum):
    """What becomes of the address that requests are sent to."""

    KEPT = "kept"
    NEW = "new"
    GONE = "gone"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Impact:
    """One experiment of which something changes. Times are machine time of one whole run, in seconds."""

    experiment: str
    runs: int = 0
    """Trainings that start, now or later."""
    evaluations: int = 0
    """Evaluations that start in jobs of their own."""
    accelerators: int = 0
    """What they take, over all machines."""
    lasted: float | None = None
    """How long the experiment's last finished run took; None when no such job is left."""
    lasted_on: int = 0
    """The accelerators that it had."""
    lasted_as: str = ""
    """Its identity, as labels carry it."""
    longest: float = 0.0
    """The timeout of a run; 0 where the manifest sets none."""
    answers: Answers = Answers.NONE
    home: Home = Home.NONE
    beside: int = 0
    """Accelerators that the new deployment takes while the old one still stands."""
    batch: tuple[Json, Json] | None = None
    """The effective batch before and after, where it changes."""
