"""Why a job or an operation of Vertex AI did not succeed: an error code and a message become a `Failure`.

Only what the planner needs is decided here: does the same request help later (stock-out, preemption, quota)? The
words are those that the service is known to send; what is not recognised is a permanent error. The exit codes are
the training image's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from reconciler.core.resources import Cause, Failure, Json

CANCELLED, RESOURCE_EXHAUSTED = 1, 8
"""Codes of `google.rpc.Code`."""

DUPLICATE_EXIT, INTERRUPTED_EXIT = 14, 143

EXITS: Mapping[int, str] = MappingProxyType(
    {
        2: "the training spec cannot be obeyed",
        10: "the data has rows that cannot be trained on",
        11: "the base model or its tokenizer is not there",
        12: "permission was denied to the training's service account",
        13: "out of memory",
        DUPLICATE_EXIT: "another job trains the same identity",
        15: "a bucket or an object is missing",
        16: "the local disk is full",
        17: "the loss diverged",
        INTERRUPTED_EXIT: "it was interrupted",
    }
)
"""What the training image's exit codes mean."""

_EXIT = re.compile(r"(?:non-zero status(?: of)?|exit(?:ed with)?(?: code| status)?)[: ]+(\d+)", re.IGNORECASE)
_CAUSES: tuple[tuple[Cause, re.Pattern[str]], ...] = (
    (Cause.PREEMPTED, re.compile(r"preempt", re.IGNORECASE)),
    (
        Cause.STOCKOUT,
        re.compile(
            r"resources are insufficient|insufficient (?:resources|capacity)|not have enough resources|"
            r"resource_pool_exhausted|stock-?out|out of capacity|temporarily unavailable",
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
    found = _EXIT.search(message)
    exit_code = int(found[1]) if found else 0
    cause = _cause(_number(status.get("code")), exit_code, message)
    return Failure(cause, f"{EXITS[exit_code]}: {message}" if exit_code in EXITS else message)


def _cause(code: int, exit_code: int, message: str) -> Cause:
    if code == CANCELLED:
        return Cause.CANCELLED
    if exit_code:
        by_exit = {DUPLICATE_EXIT: Cause.DUPLICATE, INTERRUPTED_EXIT: Cause.PREEMPTED}
        return by_exit.get(exit_code, Cause.ERROR)
    for cause, words in _CAUSES:
        if words.search(message):
            return cause
    return Cause.QUOTA if code == RESOURCE_EXHAUSTED else Cause.ERROR


def _number(code: Json) -> int:
    return int(code) if isinstance(code, (int, str)) and str(code).isdigit() else 0
