"""What can befall a request: a refusal before its effect, or an answer that is lost before or after it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from reconciler.cloud.errors import Unreachable, from_answer

GPUS = frozenset({"CreateCustomJob", "DeployModel"})
"""The methods that a resource quota can refuse."""
REFUSALS = (
    "Resources are insufficient in region: europe-west4.",
    "Model server exited unexpectedly (status 1).",
    "The quota for custom_model_serving_nvidia_l4_gpus has been exceeded.",
)
"""Why no server starts."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What the caller sees, and whether the request has its effect all the same."""

    word: str
    error: Exception
    effect: bool


def fault(random: Random, method: str) -> Fault:
    """A fault for one request."""
    kind = random.choice(("429", "503", "503", "500", "broken", "broken", "gpus" if method in GPUS else "429"))
    if kind == "429":
        return Fault(kind, from_answer(429, "RESOURCE_EXHAUSTED", "Too many requests.", "it"), effect=False)
    if kind == "gpus":
        words = "The following quota metrics exceed quota limits: custom_model_training_nvidia_l4_gpus"
        return Fault(kind, from_answer(429, "RESOURCE_EXHAUSTED", words, "it"), effect=False)
    effect = random.random() < 0.5
    where = " after" if effect else " before"
    if kind == "503":
        return Fault(kind + where, from_answer(503, "UNAVAILABLE", "The service is unavailable.", "it"), effect)
    if kind == "500":
        return Fault(kind + where, from_answer(500, "INTERNAL", "Internal error encountered.", "it"), effect)
    return Fault("lost" + where, Unreachable("the connection broke", sent=effect or random.random() < 0.5), effect)
