"""Time as a parameter: the four things that the cloud room asks of a clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

SLICE = 0.5
"""Seconds of a sleep after which it is asked whether there is still anything to sleep for."""


def in_background(seconds: float, act: Callable[[], None]) -> Callable[[], None]:
    """Call `act` every so many seconds in a thread of its own. The function that comes back ends that.

    It waits for an `act` that is under way, but no longer than three times `seconds`.
    """
    stop = threading.Event()

    def again_and_again() -> None:
        while not stop.wait(seconds):
            act()

    thread = threading.Thread(target=again_and_again, daemon=True)
    thread.start()

    def end() -> None:
        stop.set()
        thread.join(timeout=3 * seconds)

    return end


@dataclass(frozen=True, slots=True)
class Clock:
    """`now` is seconds since the epoch, `monotonic` seconds that never step back, `sleep` waits seconds.

    `every` calls something again and again until the function that it returns is called.
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    every: Callable[[float, Callable[[], None]], Callable[[], None]] = in_background

    def pause(self, seconds: float, may_go_on: Callable[[], None] | None = None) -> None:
        """Sleep; with `may_go_on` in slices, and it is asked before each: what it raises ends the sleep."""
        end = self.monotonic() + seconds
        while may_go_on and (left := end - self.monotonic()) > 0:
            may_go_on()
            self.sleep(min(left, SLICE))
        if not may_go_on:
            self.sleep(seconds)
