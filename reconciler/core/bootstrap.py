"""How sure a mean over rows is: the bootstrap, deterministic by its seed.

10,000 rows take two seconds on one core, once in the life of a model: `Random.choices` and `fsum` do the loops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, fsum
from random import Random

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Certainty:
    """`share` of the resampled means fulfil the bound; `half_width` is how far the mean may be off on its bad side."""

    share: float
    half_width: float


def certainty(
    values: Sequence[float], holds: Callable[[float], bool], confidence: float, *, high_is_good: bool, seed: str
) -> Certainty:
    """How sure it is that the mean of `values` fulfils `holds`; `values` must not be empty.

    For paired values (a candidate and a champion on the same rows) give the differences. `half_width` is one-sided:
    with probability `confidence` the true mean is no worse than the observed one by more than this.
    """
    means = resampled(values, seed)
    share = sum(map(holds, means)) / len(means)
    off = floor((1 - confidence) * len(means))
    observed = fsum(values) / len(values)
    half_width = observed - means[off] if high_is_good else means[-1 - off] - observed
    return Certainty(share, max(0.0, half_width))


def resampled(values: Sequence[float], seed: str) -> list[float]:
    """The means of `RESAMPLES` samples of as many rows, drawn with replacement, in rising order."""
    if len(set(values)) == 1:
        return [values[0]] * RESAMPLES
    random = Random(seed)
    count = len(values)
    return sorted(fsum(random.choices(values, k=count)) / count for _ in range(RESAMPLES))
