"""Staying under the published request quotas of Vertex AI: token buckets with the full minute's quota as burst.

Per project and region, one minute: 600 management requests, 60 of which may submit a job or a long-running
operation. What a server answers to a request too many (429) is not decided here; `vertex` tries again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from reconciler.cloud.clock import Clock

MANAGEMENT_PER_MINUTE = 600
SUBMISSIONS_PER_MINUTE = 60
UNLIMITED = 1_000_000
"""For the embedded Vertex AI, which answers 429 itself where it is told to have a quota."""
SUBMISSIONS = frozenset(
    {
        "CreateCustomJob", "DeleteCustomJob", "CreateHyperparameterTuningJob", "DeleteHyperparameterTuningJob",
        "CreatePipelineJob", "DeletePipelineJob", "CreateTuningJob", "UploadModel", "DeleteModel", "DeleteModelVersion",
        "CreateEndpoint", "DeleteEndpoint", "DeployModel", "UndeployModel", "MutateDeployedModel",
    }
)  # fmt: skip


class TokenBucket:
    """Holds `per_minute` tokens and refills evenly; `take` waits for its turn, first come first served."""

    def __init__(self, per_minute: int, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._capacity = float(per_minute)
        self._rate = per_minute / 60.0
        self._monotonic = monotonic
        self._sleep = sleep
        self._tokens = self._capacity
        self._filled = monotonic()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take one token; wait until it is there. Returns the seconds waited."""
        with self._lock:
            now = self._monotonic()
            self._tokens = min(self._capacity, self._tokens + (now - self._filled) * self._rate)
            self._filled = now
            # The token is reserved at once, in debt if need be, so that two waiting threads do not both get it.
            self._tokens -= 1.0
            wait = max(0.0, -self._tokens / self._rate)
        if wait:
            self._sleep(wait)
        return wait


class Quotas:
    """The request quotas of one project and region, shared by all threads of this process."""

    def __init__(
        self, clock: Clock, management: int = MANAGEMENT_PER_MINUTE, submissions: int = SUBMISSIONS_PER_MINUTE
    ) -> None:
        self._management = TokenBucket(management, clock.monotonic, clock.sleep)
        self._submissions = TokenBucket(submissions, clock.monotonic, clock.sleep)

    def take(self, method: str) -> float:
        """Wait until a call of `method` (Google's name) is within the quotas; the seconds waited."""
        bucket = self._submissions if method in SUBMISSIONS else self._management
        return bucket.take()
