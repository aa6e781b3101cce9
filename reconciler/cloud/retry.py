"""When a call is tried again: bounded exponential backoff with full jitter, and never blindly for a create.

A request that surely had no effect (refused connection, 429) is always repeated; one that may have had its effect
only if repeating it is harmless. Otherwise the caller gets `LostAnswer` and has to look.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from reconciler.backends.failures import lacks_machines
from reconciler.cloud.clock import Clock
from reconciler.cloud.errors import LostAnswer, Unreachable, translate
from reconciler.core.errors import CloudError, Conflict, Refused, Retryable

T = TypeVar("T")

BLIND = frozenset({"CreateCustomJob", "CreateHyperparameterTuningJob", "CreateTuningJob", "UploadModel"})
"""Methods whose repetition makes a second thing, because the caller cannot choose the name."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call is tried: delays are random between 0 and `first` * 2^n, at most `longest` (all seconds)."""

    first: float = 0.5
    longest: float = 16.0
    attempts: int = 8
    deadline: float = 90.0
    queue: float = 600.0
    """How long a request quota is waited for: the call is in order, it only has to wait for its minute."""
    jitter: Callable[[], float] = random.random


LOCAL = Patience(first=0.2, longest=2.0, attempts=6, deadline=20.0)
"""For a server on this machine: when it does not answer soon, it is not running."""


def with_patience(
    act: Callable[[], T],
    method: str,
    doing: str,
    clock: Clock,
    patience: Patience,
    *,
    repeatable: bool | None = None,
    queues: bool = False,
    may_go_on: Callable[[], None] | None = None,
) -> T:
    """Run `act` until it succeeds; raises the translated `CloudError` of the last attempt.

    `repeatable` says whether a second execution is harmless; by default it follows from the method's name. With
    `queues` a used-up request quota is waited for as long as `patience.queue` says, and does not count as an attempt.
    `may_go_on` is asked between attempts; when it raises Refused while an attempt may have had its effect, that is a
    `LostAnswer`.
    """
    harmless = method not in BLIND if repeatable is None else repeatable
    begun = clock.monotonic()
    ceiling, delay = patience.first, 0.0
    unsure: CloudError | None = None
    attempts = 0
    while True:
        try:
            if delay:
                clock.pause(delay, may_go_on)
            return act()
        except Refused as refused:
            if unsure is not None:
                raise _lost(unsure) from refused
            raise
        except Exception as error:
            problem = translate(error, doing)
            if unsure and isinstance(problem, Conflict):
                # Perhaps it was our own first attempt that took the name or moved the etag.
                raise _lost(problem) from error
            if not _had_no_effect(problem):
                if not _may_have_happened(problem):
                    raise problem from error
                if not harmless:
                    raise _lost(problem) from error
                unsure = problem
            queued = queues and over_quota(problem)
            attempts += not queued
            delay = ceiling * patience.jitter()
            ceiling = min(patience.longest, ceiling * 2)
            end = begun + (patience.queue if queued else patience.deadline)
            if attempts == patience.attempts or clock.monotonic() + delay > end:
                raise problem from error


def over_quota(problem: CloudError) -> bool:
    """True when a quota of requests a minute is used up: the same call succeeds a little later.

    Machines, and the quota for them, are refused with 429 as well, but no backoff of seconds makes GPUs: the next
    pass sees.
    """
    return problem.code == 429 and not lacks_machines(problem.message)


def _had_no_effect(problem: CloudError) -> bool:
    if isinstance(problem, Unreachable):
        return not problem.sent
    return over_quota(problem)


def _may_have_happened(problem: CloudError) -> bool:
    # ABORTED is left to the next pass: it carries an etag or a view of the world that has to be read again.
    return isinstance(problem, Retryable) and problem.code in (500, 502, 503, 504)


def _lost(problem: CloudError) -> LostAnswer:
    answered = not isinstance(problem, Unreachable)
    return LostAnswer(problem.message, status=problem.status, code=problem.code, answered=answered)
