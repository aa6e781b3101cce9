"""Why a job or an operation of Vertex AI did not succeed: an error code and a message become a `Failure`.

Only what the planner needs is decided here: does the same request help later (stock-out, preemption, quota)? The
words are those that the service is known to send; what is not recognised is a permanent error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.core.resources import Cause, Failure, Json

CANCELLED, RESOURCE_EXHAUSTED = 1, 8
DUPLICATE_EXIT = 75
"""Exit status of a trainer that found its identity being trained already, or trained (EX_TEMPFAIL)."""

_CAUSES: tuple[tuple[Cause, re.Pattern[str]], ...] = (
    (
        Cause.DUPLICATE,
        re.compile(
            rf"(?:non-zero status(?: of)?|exit(?:ed with)? (?:code|status))[: ]+{DUPLICATE_EXIT}\b", re.IGNORECASE
        ),
    ),
    (Cause.PREEMPTED, re.compile(r"preempt", re.IGNORECASE)),
    (
        Cause.STOCKOUT,
        re.compile(
            r"resources are insufficient|insufficient (?:resources|capacity)|not have enough resources|"
            r"resource_pool_exhausted|stock-?out|out of capacity|currently unavailable in",
            re.IGNORECASE,
        ),
    ),
    (Cause.QUOTA, re.compile(r"quota", re.IGNORECASE)),
    (Cause.CANCELLED, re.compile(r"\bcancel(?:l?ed)\b", re.IGNORECASE)),
)


def failure_of(error: Json, fallback: str) -> Failure:
    """The failure in a `google.rpc.Status` (`{code, message}`); `fallback` speaks where the service is silent."""
    status = error if isinstance(error, Mapping) else {}
    message = str(status.get("message") or fallback)
    code = status.get("code")
    return Failure(_cause(int(code) if isinstance(code, (int, str)) and str(code).isdigit() else 0, message), message)


def _cause(code: int, message: str) -> Cause:
    if code == CANCELLED:
        return Cause.CANCELLED
    for cause, words in _CAUSES:
        if words.search(message):
            return cause
    return Cause.QUOTA if code == RESOURCE_EXHAUSTED else Cause.ERROR
