"""What is told of a data set that was tuned on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.emulator.work.tuning_statistics import distribution, statistics

ROWS = [
    [{"role": "user", "content": "one two"}, {"role": "assistant", "content": "three"}],
    [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "a b c"},
        {"role": "assistant", "content": "d"},
    ],
]


def test_tokens_are_counted_on_both_sides() -> None:
    told = statistics(ROWS, lambda text: len(text.split()))

    assert told["userInputTokenDistribution"]["sum"] == 7
    assert told["userOutputTokenDistribution"]["sum"] == 2
    assert told["totalBillableTokenCount"] == 9


def test_without_a_tokenizer_nothing_is_said_of_tokens() -> None:
    told = statistics(ROWS, None)

    assert told["tuningDatasetExampleCount"] == 2
    assert not [name for name in told if "Token" in name]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60))
def test_a_distribution_holds_every_number_once(numbers: list[int]) -> None:
    told = distribution(numbers)

    assert sum(bucket["count"] for bucket in told["buckets"]) == len(numbers)
    assert told["min"] <= told["p5"] <= told["median"] <= told["p95"] <= told["max"]
    assert (told["sum"], told["mean"]) == (sum(numbers), sum(numbers) / len(numbers))
