"""Staying under the published request quotas of Vertex AI: token buckets with the full minute's quota as burst.

Per project and region, one minute: 600 management requests, 60 of which may submit a job or a long-running
operation. A server that refuses a request too many (429) knows better: then everybody pauses. Whether the refused
call is tried again is decided in `retry`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from reconciler.cloud.clock import Clock

MANAGEMENT_PER_MINUTE = 600
SUBMISSIONS_PER_MINUTE = 60
UNLIMITED = 1_000_000
"""For the embedded Vertex AI, which answers 429 itself where it is told to have a quota."""
REFUSED_PAUSE = 10.0
"""Seconds without a call of a kind after the server refused one of it: its minute must pass."""
SUBMISSIONS = frozenset(
    {
        "CreateCustomJob", "DeleteCustomJob", "CreateHyperparameterTuningJob", "DeleteHyperparameterTuningJob",
        "CreatePipelineJob", "DeletePipelineJob", "CreateTuningJob", "UploadModel", "DeleteModel", "DeleteModelVersion",
        "CreateEndpoint", "DeleteEndpoint", "DeployModel", "UndeployModel", "MutateDeployedModel",
    }
)  # fmt: skip


class TokenBucket:
    """Holds `per_minute` tokens and refills evenly; `take` waits for its turn, first come first served."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._clock = clock
        self._capacity = self._tokens = float(per_minute)
        self._rate = per_minute / 60.0
        self._filled = clock.monotonic()
        self._line = 0
        self._lock = threading.Lock()

    def take(self, may_go_on: Callable[[], None] | None = None) -> float:
        """Take one token; wait until it is there. Returns the seconds waited.

        `may_go_on` is asked while waiting, and ends the wait by raising.
        """
        waited = 0.0
        while True:
            with self._lock:
                now = self._clock.monotonic()
                self._tokens = min(self._capacity, self._tokens + (now - self._filled) * self._rate)
                self._filled = now
                # The token is reserved at once, in debt if need be, so that two waiting threads do not both get it.
                self._tokens -= 1.0
                wait = max(0.0, -self._tokens / self._rate)
                line = self._line
            if wait:
                self._clock.pause(wait, may_go_on)
            waited += wait
            if line == self._line:
                return waited
            # Somebody was refused while this one waited: everybody gets in line again.

    def exhausted(self, per_minute: int) -> None:
        """The server refused a call: it counts `per_minute`, and nobody sends anything for `REFUSED_PAUSE` seconds."""
        with self._lock:
            self._capacity = min(self._capacity, float(per_minute))
            self._rate = self._capacity / 60.0
            self._tokens = -REFUSED_PAUSE * self._rate
            self._filled = self._clock.monotonic()
            self._line += 1


class Quotas:
    """The request quotas of one project, each region's of its own, shared by all threads of this process."""

    def __init__(
        self, clock: Clock, management: int = MANAGEMENT_PER_MINUTE, submissions: int = SUBMISSIONS_PER_MINUTE
    ) -> None:
        self._clock = clock
        self._limits = {False: management, True: submissions}
        self._buckets: dict[tuple[str, bool], TokenBucket] = {}
        self._lock = threading.Lock()

    def take(self, method: str, may_go_on: Callable[[], None] | None = None, region: str = "") -> float:
        """Wait until a call of `method` (Google's name) is within the quotas of `region`; the seconds waited.

        `may_go_on` is asked while waiting, and ends the wait by raising.
        """
        return self._bucket(method, region).take(may_go_on)

    def exhausted(self, method: str, region: str = "") -> None:
        """The server answered 429 to `method`: others spend the same quota, or it is lower than was thought.

        From now on the published quota is kept to, also where none was expected, after a pause for all threads.
        """
        limit = SUBMISSIONS_PER_MINUTE if method in SUBMISSIONS else MANAGEMENT_PER_MINUTE
        self._bucket(method, region).exhausted(limit)

    def _bucket(self, method: str, region: str) -> TokenBucket:
        submits = method in SUBMISSIONS
        with self._lock:
            if (region, submits) not in self._buckets:
                self._buckets[region, submits] = TokenBucket(self._limits[submits], self._clock)
            return self._buckets[region, submits]
