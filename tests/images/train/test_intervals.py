from __future__ import annotations

import pytest

from images.train.intervals import interval, paired


def test_the_interval_of_a_share_is_about_two_standard_errors_wide() -> None:
    low, high = interval([1.0] * 80 + [0.0] * 20)

    assert (low, high) == (pytest.approx(0.72, abs=0.02), pytest.approx(0.87, abs=0.02))


def test_the_same_scores_give_the_same_interval() -> None:
    assert interval([0.1, 0.5, 0.9], seed=3) == interval([0.1, 0.5, 0.9], seed=3)


def test_scores_that_are_all_alike_leave_no_doubt() -> None:
    assert interval([0.25] * 7) == (0.25, 0.25)


def test_pairing_sees_a_gain_that_is_the_same_on_every_row() -> None:
    scores = [0.1 * (n % 10) for n in range(50)]

    gain, (low, high) = paired([score + 0.05 for score in scores], scores)

    assert (gain, low, high) == (pytest.approx(0.05), pytest.approx(0.05), pytest.approx(0.05))
