"""The probe inside the container: health is 200 only after the base and the adapter have each answered once.

A deployment without traffic cannot be asked from outside, so a deploy operation that succeeds must itself be the
proof. Afterwards health depends on the engine alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from images.serve.answers import Engine, ask
from images.serve.instances import Question, read_instance
from images.serve.settings import Settings

PROMPT = "Hello"
TOKENS = 4


@dataclass(slots=True)
class Health:
    """What the health route says. `passed` never goes back; `reason` tells why it is not yet so."""

    passed: bool = False
    failed: bool = False
    reason: str = "the self-test has not run yet"


async def self_test(settings: Settings, engine: Engine, health: Health) -> None:
    """Ask every served name once and keep the outcome in `health`. Never raises."""
    for name in reversed(settings.served()):
        health.reason = f"self-test: waiting for {name!r} to answer"
        try:
            response = await ask(_probe(name, settings), engine)
            if not response.usage.completion_tokens:
                raise ValueError("it generated no token")
        except Exception as error:
            health.failed = True
            health.reason = f"self-test: {name!r} does not answer: {type(error).__name__}: {error}"
            return
    health.passed, health.reason = True, "ready"


def _probe(name: str, settings: Settings) -> Question:
    fields: dict[str, Any] = {"model": name, "max_tokens": TOKENS, "temperature": 0.0, "raw": not settings.chat}
    return read_instance({"prompt": PROMPT, **fields}, {}, settings)
