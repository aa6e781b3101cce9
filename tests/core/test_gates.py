"""What one bound says about what was measured."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest

from reconciler.core.bootstrap import RESAMPLES, certainty, resampled
from reconciler.core.gates import Measured, judge
from reconciler.core.verdict import Scores, label_of, text_hash
from tests.core.builders import bound


def measured(stamp: str = "candidate", digest: str = "rows", **metrics: float) -> Measured:
    return Measured(stamp, metrics, digest, 4)


def scored(stamp: str, *values: float, rows: tuple[int, ...] | None = None, **overrides: str) -> Measured:
    """Something measured by `f1`, with a score per row."""
    scores = Scores(overrides.get("scores_of", "rows"), rows or tuple(range(len(values))), {"f1": values})
    mean = round(math.fsum(values) / len(values), 6)
    return Measured(stamp, {"f1": mean}, "rows", len(values), scores)


def test_a_bound_that_holds_says_so_with_its_numbers() -> None:
    said = judge(bound("loss < 1"), measured(loss=0.9), None)

    assert (said.passed, said.words, said.value, said.limit) == (True, "loss = 0.9, < 1", 0.9, 1.0)


def test_a_bound_that_does_not_hold_says_by_how_much() -> None:
    assert judge(bound("f1 >= 0.5"), measured(f1=0.4), None).words == "f1 = 0.4, not >= 0.5, misses by 0.1"


@pytest.mark.parametrize("metrics", [{}, {"loss": math.nan}])
def test_a_metric_that_is_missing_or_not_a_number_does_not_pass(metrics: dict[str, float]) -> None:
    said = judge(bound("loss < 1"), measured(**metrics), None)

    assert not said.passed
    assert said.words.startswith("loss was not measured")


def test_without_a_champion_a_relative_bound_passes_and_says_so() -> None:
    said = judge(bound("f1 >= champion"), measured(f1=0.1), None)

    assert (said.passed, said.words) == (True, "f1 = 0.1, no champion to compare with")


def test_a_champion_that_was_not_measured_does_not_pass() -> None:
    unmeasured = judge(bound("f1 >= champion"), measured(f1=0.1), measured("champion"))
    forgotten = judge(bound("f1 >= champion"), measured(f1=0.1), Measured("champion", None))

    assert (unmeasured.passed, unmeasured.words) == (False, "the champion champi has no f1")
    assert (forgotten.passed, forgotten.words) == (False, "the champion champi has no run record to compare with")


def test_a_margin_is_added_to_the_champions_value() -> None:
    near, far = bound("f1 >= champion - 0.05"), bound("f1 >= champion - 0.01")
    candidate, champion = measured(f1=0.46), measured("champion", f1=0.5)

    assert judge(near, candidate, champion).words == "f1 = 0.46, >= champion's 0.5 - 0.05"
    assert judge(far, candidate, champion).words == "f1 = 0.46, not >= champion's 0.5 - 0.01, misses by 0.03"
    assert judge(bound("f1 < champion + 0.1"), candidate, champion).passed
    assert judge(bound("f1 >= champion + 0.1"), measured(f1=0.8), measured("champion", f1=0.7)).passed


@pytest.mark.parametrize("digests", [("rows", "others"), ("rows", ""), ("", "")])
def test_what_was_measured_on_other_rows_is_not_compared(digests: tuple[str, str]) -> None:
    here, there = digests

    said = judge(bound("f1 >= champion"), measured(f1=0.9, digest=here), measured("champion", f1=0.1, digest=there))

    assert not said.passed
    assert "were measured on other rows" in said.words
    assert said.words.endswith(": bound it by a number, or measure both on the same rows")


def test_a_clear_difference_is_certain_and_a_slight_one_on_few_rows_is_not() -> None:
    champion = scored("champion", *[0.5, 0.6] * 50)
    better = scored("better", *[0.6, 0.7] * 50)
    random = Random(1)
    alike = scored("alike", *(value + random.choice((-0.3, 0.3)) for value in [0.5, 0.6] * 50))

    sure = judge(bound("f1 >= champion - 0.01", 0.95), better, champion)
    unsure = judge(bound("f1 >= champion - 0.01", 0.95), alike, champion)

    assert (sure.passed, sure.certainty, sure.half_width, sure.warning) == (True, 1.0, 0.0, "")
    assert not unsure.passed
    assert unsure.certainty is not None
    assert 0.05 < unsure.certainty < 0.95
    assert unsure.half_width == pytest.approx(1.645 * 0.3 / 10, rel=0.15)
    assert "% (95 % asked, half-width 0.0" in unsure.words
    assert ", misses by 0.0" in unsure.words


def test_a_margin_below_the_half_width_warns_with_the_rows_that_are_needed() -> None:
    champion = scored("champion", *[0.5, 0.9] * 50)
    candidate = scored("candidate", *[0.9, 0.5] * 50)

    few = judge(bound("f1 >= champion - 0.01", 0.95), candidate, champion)
    none = judge(bound("f1 >= champion", 0.95), candidate, champion)
    enough = judge(bound("f1 >= champion - 0.2", 0.95), candidate, champion)

    assert few.half_width is not None
    needed = math.ceil(100 * (few.half_width / 0.01) ** 2)
    assert few.warning.endswith(f"of 100 rows: about {needed} rows are needed to show it")
    assert none.warning.endswith("a model as good as the champion may fail; allow a margin")
    assert (enough.passed, enough.warning) == (True, "")


def test_lower_is_better_where_the_bound_says_so() -> None:
    champion = scored("champion", *[0.5, 0.6] * 50)
    lower, higher = scored("lower", *[0.4, 0.5] * 50), scored("higher", *[0.7, 0.5] * 50)

    assert judge(bound("f1 <= champion + 0.01", 0.9), lower, champion).passed
    said = judge(bound("f1 <= champion + 0.01", 0.9), higher, champion)
    assert (said.passed, said.half_width is not None and said.half_width > 0) == (False, True)


def test_an_absolute_bound_is_judged_by_the_candidate_alone() -> None:
    candidate = scored("candidate", *[0.0, 1.0, 1.0, 1.0] * 25)

    assert judge(bound("f1 >= 0.6", 0.95), candidate, None).passed
    said = judge(bound("f1 >= 0.7", 0.95), candidate, None)
    assert (said.passed, said.warning) == (False, "")
    assert said.value is not None
    assert said.value > 0.7


def test_a_confidence_without_scores_per_row_does_not_pass() -> None:
    relative, absolute = bound("f1 >= champion - 0.1", 0.95), bound("f1 >= 0.1", 0.95)
    candidate, champion = scored("candidate", 0.5, 0.6), scored("champion", 0.5, 0.6)
    words = "left no f1 per row, which a confidence needs"

    assert words in judge(absolute, replace(candidate, scores=None), None).words
    assert f"candid {words}" in judge(relative, replace(candidate, scores=None), champion).words
    assert f"champi {words}" in judge(relative, candidate, replace(champion, scores=None)).words
    stale = scored("candidate", 0.5, 0.6, scores_of="other rows")
    assert words in judge(relative, stale, champion).words
    assert not judge(relative, replace(candidate, scores=Scores("rows", (), {"f1": ()})), champion).passed


def test_scores_of_other_rows_are_no_pairs() -> None:
    said = judge(
        bound("f1 >= champion - 0.1", 0.95), scored("candidate", 0.5, 0.6), scored("champion", 0.5, 0.6, rows=(0, 2))
    )

    assert (said.passed, said.words) == (False, "not the same rows have a f1 here and on the champion")


def test_the_same_seed_draws_the_same_samples_and_another_one_others() -> None:
    values = [0.1, 0.5, 0.9, 0.3]

    assert resampled(values, "a") == resampled(values, "a")
    assert resampled(values, "a") != resampled(values, "b")
    assert len(resampled(values, "a")) == RESAMPLES
    assert resampled([0.5, 0.5], "a") == [0.5] * RESAMPLES


def test_the_bootstrap_covers_as_often_as_it_says() -> None:
    """Of many experiments with a true mean of 0, about one in ten must fail a bound of 0 at 90 %."""
    passed = 0
    for number in range(100):
        random = Random(number)
        values = [random.gauss(0.0, 1.0) for _ in range(60)]
        sure = certainty(values, lambda mean: mean > 0.0, 0.9, high_is_good=True, seed=str(number))
        passed += sure.share >= 0.9

    assert 3 <= passed <= 19


def test_a_verdict_is_kept_for_exactly_one_gate_text() -> None:
    texts = [(bound("a < 1"),), (bound("a < 2"),), (bound("a < 1", 0.9),), (bound("a < 1", 0.95),)]
    labels = {label_of(text_hash(text), "run", passed=passed) for text in texts for passed in (True, False)}

    assert len(labels) == 8
    assert all(len(label) <= 63 for label in labels)
