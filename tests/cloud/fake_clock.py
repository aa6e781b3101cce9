"""A clock that a test moves: sleeping is instant and is written down."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.cloud.clock import Clock


@dataclass
class Hand:
    """Where the clock's hand is, and the sleeps that moved it."""

    at: float = 1_000_000.0
    slept: list[float] = field(default_factory=list)

    def move(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.at, monotonic=lambda: self.at, sleep=self.move)
