"""A record of every API call, for tests and the curious. Kept in memory; the oldest fall out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

from reconciler.emulator.wire.errors import Json

KEPT = 50_000


@dataclass(slots=True)
class Calls:
    """(time, method, resource, HTTP status) of each call."""

    kept: deque[tuple[float, str, str, int]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def note(self, time: float, method: str, resource: str, status: int) -> None:
        """Record one call."""
        self.kept.append((time, method, resource, status))

    def clear(self) -> None:
        """Forget all calls."""
        self.kept.clear()

    def shown(self) -> Json:
        """`{"calls": [{"time", "method", "resource", "status"}]}`, oldest first."""
        return {
            "calls": [
                {
                    "time": datetime.fromtimestamp(time, UTC).isoformat(),
                    "method": method,
                    "resource": resource,
                    "status": status,
                }
                for time, method, resource, status in self.kept
            ]
        }
