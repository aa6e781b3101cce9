"""When a call is tried again: bounded exponential backoff with full jitter, and never blindly for a create.

A request that surely had no effect (refused connection, 429) is always repeated; one that may have had its effect
only if repeating it is harmless. Otherwise the caller gets `LostAnswer` and has to look.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from reconciler.cloud.clock import Clock
from reconciler.cloud.errors import LostAnswer, Unreachable, translate
from reconciler.core.errors import CloudError, Conflict, Retryable

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
    jitter: Callable[[], float] = random.random


LOCAL = Patience(first=0.2, longest=2.0, attempts=6, deadline=20.0)
"""For a server on this machine: when it does not answer soon, it is not running."""


def with_patience(
    act: Callable[[], T], method: str, doing: str, clock: Clock, patience: Patience, *, repeatable: bool | None = None
) -> T:
    """Run `act` until it succeeds; raises the translated `CloudError` of the last attempt.

    `repeatable` says whether a second execution is harmless; by default it follows from the method's name.
    """
    harmless = method not in BLIND if repeatable is None else repeatable
    end = clock.monotonic() + patience.deadline
    ceiling = patience.first
    unsure = False
    for attempt in range(1, patience.attempts + 1):
        try:
            return act()
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
                unsure = True
            delay = ceiling * patience.jitter()
            ceiling = min(patience.longest, ceiling * 2)
            if attempt == patience.attempts or clock.monotonic() + delay > end:
                raise problem from error
            clock.sleep(delay)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _had_no_effect(problem: CloudError) -> bool:
    if isinstance(problem, Unreachable):
        return not problem.sent
    # A resource quota (GPUs) is refused with 429 as well, but no backoff of seconds makes GPUs: the next pass sees.
    return problem.code == 429 and "quota metrics exceed" not in problem.message


def _may_have_happened(problem: CloudError) -> bool:
    # ABORTED is left to the next pass: it carries an etag or a view of the world that has to be read again.
    return isinstance(problem, Retryable) and problem.code in (500, 502, 503, 504)


def _lost(problem: CloudError) -> LostAnswer:
    answered = not isinstance(problem, Unreachable)
    return LostAnswer(problem.message, status=problem.status, code=problem.code, answered=answered)
