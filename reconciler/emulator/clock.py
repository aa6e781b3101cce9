"""The time of one embedded Vertex AI: the machine's own, or a virtual one that moves only when it is told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.emulator.wire.errors import Json, invalid


@dataclass(slots=True)
class Clock:
    """Call it for seconds since 1970. `ahead` of the real time by so much; `stopped` is a virtual one's moment."""

    real: Callable[[], float]
    stopped: float | None = None
    ahead: float = 0.0

    def __call__(self) -> float:
        """Seconds since 1970."""
        return self.real() + self.ahead if self.stopped is None else self.stopped

    def back_to_real(self) -> None:
        """Follow the machine's time again."""
        self.stopped, self.ahead = None, 0.0


def set_clock(clock: Clock, asked: Json) -> None:
    """`{"mode": "virtual" | "real", "advance_s": number}`; both may be left out.

    Time that was advanced stays ahead until the mode is set to real again. Raises `ApiError` INVALID_ARGUMENT.
    """
    seconds = asked.get("advance_s", 0)
    if set(asked) - {"mode", "advance_s"} or asked.get("mode", "real") not in ("virtual", "real"):
        raise invalid("mode", 'Give {"mode": "virtual"} or {"mode": "real"}, and {"advance_s": 60} to move on.')
    if type(seconds) not in (int, float) or not 0 <= seconds <= 1e9:
        raise invalid("advance_s", "Time moves forward by a number of seconds.")
    if asked.get("mode") == "virtual" and clock.stopped is None:
        clock.stopped = clock()
    elif asked.get("mode") == "real":
        clock.back_to_real()
    if clock.stopped is None:
        clock.ahead += seconds
    else:
        clock.stopped += seconds


def show_clock(clock: Clock) -> Json:
    """`{"mode", "now", "ahead_s"}`."""
    mode = "real" if clock.stopped is None else "virtual"
    now = datetime.fromtimestamp(clock(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"mode": mode, "now": now, "ahead_s": round(clock() - clock.real(), 6)}
