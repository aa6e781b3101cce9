"""A few histories on every run of the tests; `make test` lives through some thousand, `make soak` through 100,000."""

from __future__ import annotations

import pytest

from tests.soak.convergence import run
from tests.soak.steps import steps_of

SEEDS = range(20)
STEPS = 30


@pytest.mark.parametrize("seed", SEEDS)
def test_no_law_is_broken_in_a_random_history(seed: int) -> None:
    told = run(steps_of(seed, STEPS))

    assert not told.broken, "\n".join([*told.lines, told.broken])


def test_the_same_seed_brings_the_same_history() -> None:
    first = run(steps_of(3, STEPS))

    again = run(steps_of(3, STEPS))

    assert first == again
    assert first.requests > 50
