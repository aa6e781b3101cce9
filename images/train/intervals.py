"""How sure a mean is: bootstrap intervals over the rows, paired where two models answered the same ones. Pure.

The draws follow from a seed, so that the same scores give the same interval. The planner judges with its own bootstrap.
"""

from __future__ import annotations

from collections.abc import Sequence

DRAWS = 2000
CONFIDENCE = 0.95
_AT_ONCE = 4_000_000


def interval(scores: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The middle `CONFIDENCE` of the means of `DRAWS` samples, each as large as `scores`, which is not empty."""
    import numpy

    values = numpy.asarray(scores, dtype=float)
    dice = numpy.random.default_rng(seed)
    means = numpy.empty(DRAWS)
    step = max(1, _AT_ONCE // len(values))
    for start in range(0, DRAWS, step):
        drawn = dice.integers(0, len(values), size=(min(step, DRAWS - start), len(values)))
        means[start : start + len(drawn)] = values[drawn].mean(axis=1)
    low, high = numpy.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def paired(scores: Sequence[float], others: Sequence[float], seed: int = 0) -> tuple[float, tuple[float, float]]:
    """The mean of `scores` minus that of `others`, which are of the same rows, and its interval."""
    gains = [one - other for one, other in zip(scores, others, strict=True)]
    return sum(gains) / len(gains), interval(gains, seed)
