"""What the service tells of a data set that it has tuned on: examples, characters, tokens and their distributions.

In the form of `SupervisedTuningDataStats`. Tokens are those of the tokenizer that lies beside the tuned base; without
one only what needs none is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Turn = dict[str, str]
BUCKETS, EXAMPLES = 10, 3


def statistics(rows: Sequence[Sequence[Turn]], count: Callable[[str], int] | None) -> dict[str, Any]:
    """`rows` are conversations; `count` gives the tokens of a text."""
    characters = sum(len(turn["content"]) for turns in rows for turn in turns)
    found: dict[str, Any] = {
        "tuningDatasetExampleCount": len(rows),
        "totalTuningCharacterCount": characters,
        "totalBillableCharacterCount": characters,
        "userMessagePerExampleDistribution": distribution([len(turns) for turns in rows]),
        "userDatasetExamples": [
            {"role": turn["role"], "parts": [{"text": turn["content"]}]}
            for turn in [turn for turns in rows for turn in turns if turn["role"] == "user"][:EXAMPLES]
        ],
    }
    if count is not None:
        asked = [sum(count(turn["content"]) for turn in turns if turn["role"] != "assistant") for turns in rows]
        answered = [sum(count(turn["content"]) for turn in turns if turn["role"] == "assistant") for turns in rows]
        found |= {
            "totalBillableTokenCount": sum(asked) + sum(answered),
            "userInputTokenDistribution": distribution(asked),
            "userOutputTokenDistribution": distribution(answered),
        }
    return found


def distribution(numbers: Sequence[int]) -> dict[str, Any]:
    """Sum, extremes, mean, quantiles, and a histogram of `BUCKETS` equal steps. `numbers` must not be empty."""
    ordered = sorted(numbers)
    low, high = ordered[0], ordered[-1]
    width = (high - low) / BUCKETS
    edges = [low + width * step for step in range(BUCKETS + 1)] if width else [low, high]
    counts = [0] * (len(edges) - 1)
    for number in ordered:
        counts[min(int((number - low) / width), BUCKETS - 1) if width else 0] += 1
    return {
        "sum": sum(ordered),
        "billableSum": sum(ordered),
        "min": low,
        "max": high,
        "mean": sum(ordered) / len(ordered),
        "median": _quantile(ordered, 0.5),
        "p5": _quantile(ordered, 0.05),
        "p95": _quantile(ordered, 0.95),
        "buckets": [
            {"count": many, "left": left, "right": right}
            for many, left, right in zip(counts, edges, edges[1:], strict=False)
        ],
    }


def _quantile(ordered: Sequence[int], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
