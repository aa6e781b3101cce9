"""What happened when a plan was applied. *Failed* is theirs, *error* is ours: different words, different exits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.changes import Change, Plan


class Outcome(StrEnum):
    """How one change ended."""

    DONE = "done"
    SKIPPED = "skipped"
    """Not attempted: something before it failed, or apply was interrupted."""
    FAILED = "failed"
    """The API refused it."""
    WAITING = "waiting"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Result:
    """One change and how it ended; `message` is the API's word when it failed."""

    change: Change
    outcome: Outcome
    message: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The results of one pass, in the order in which they were carried out."""

    plan: Plan
    results: tuple[Result, ...]
    interrupted: bool = False

    @property
    def failed(self) -> tuple[Result, ...]:
        """The changes that the API refused."""
        return tuple(result for result in self.results if result.outcome is Outcome.FAILED)
