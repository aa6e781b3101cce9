from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.backends.traffic import apportioned, percent_of_ours, shifted, without

IDS = ("1", "2", "3", "4", "5")


@st.composite
def splits(draw: st.DrawFn) -> dict[str, int]:
    """A split as the service has it: whole shares that sum to 100."""
    names = draw(st.lists(st.sampled_from(IDS), min_size=1, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(names) - 1, max_size=len(names) - 1)))
    bounds = [0, *cuts, 100]
    return {name: high - low for name, low, high in zip(names, bounds, bounds[1:], strict=False)}


@given(splits(), st.sets(st.sampled_from(IDS), min_size=1), st.integers(0, 100))
def test_a_shifted_split_sums_to_100_and_keeps_what_is_not_ours(
    split: dict[str, int], ours: set[str], percent: int
) -> None:
    chosen = min(ours)

    result = shifted(split, ours, chosen, percent)

    assert sum(result.values()) == 100
    assert all(share >= 0 for share in result.values())
    assert {name: share for name, share in result.items() if name not in ours} == {
        name: share for name, share in split.items() if name not in ours
    }


@given(splits(), st.sets(st.sampled_from(IDS), min_size=1))
def test_all_that_is_ours_goes_to_the_new_one_and_reads_back_as_all(split: dict[str, int], ours: set[str]) -> None:
    chosen = min(ours)
    foreign = sum(share for name, share in split.items() if name not in ours)

    result = shifted(split, ours, chosen, 100)

    assert result[chosen] == 100 - foreign
    assert percent_of_ours(result, ours, chosen) == 100


def test_ours_share_what_the_new_one_leaves_as_before() -> None:
    split = {"old": 60, "older": 30, "stranger": 10}

    result = shifted(split, {"old", "older", "new"}, "new", 10)

    assert result == {"new": 9, "old": 54, "older": 27, "stranger": 10}


def test_an_endpoint_without_traffic_gives_all_to_the_first_deployment() -> None:
    assert shifted({}, {"new"}, "new", 10) == {"new": 100}


def test_a_deployment_on_an_endpoint_that_others_fill_has_all_that_is_left() -> None:
    assert percent_of_ours({"stranger": 100, "new": 0}, {"new"}, "new") == 100


@given(st.integers(0, 98), st.lists(st.integers(1, 99), min_size=1, max_size=6, unique=True))
def test_every_step_moves_something_however_small_our_part_is(foreign: int, steps: list[int]) -> None:
    split, ours = {"old": 100 - foreign, "stranger": foreign}, {"old", "new"}

    for step in (*sorted(steps), 100):
        before = percent_of_ours(split, ours, "new")
        if step <= before:
            continue
        split = shifted(split, ours, "new", step)

        assert percent_of_ours(split, ours, "new") > before
        assert (sum(split.values()), split["stranger"]) == (100, foreign)
    assert split["new"] == 100 - foreign


def test_what_leaves_gives_its_share_to_ours_and_the_stranger_keeps_its_own() -> None:
    split = {"gone": 35, "old": 25, "older": 10, "stranger": 30}

    assert without(split, {"gone", "old", "older"}, "gone") == {"old": 50, "older": 20, "stranger": 30}


def test_what_leaves_a_stranger_alone_leaves_it_everything() -> None:
    assert without({"gone": 70, "idle": 0, "stranger": 30}, {"gone", "idle"}, "gone") == {"stranger": 100}


def test_a_split_that_leaves_nothing_to_share_is_empty() -> None:
    assert without({"only": 100, "idle": 0}, {"only", "idle"}, "only") == {}


@given(st.dictionaries(st.sampled_from(IDS), st.integers(1, 1000), min_size=1), st.integers(0, 100))
def test_apportioned_shares_are_whole_and_within_one_of_exact(shares: dict[str, int], whole: int) -> None:
    result = apportioned(shares, whole)

    total = sum(shares.values())
    assert sum(result.values()) == whole
    assert all(abs(result[name] - whole * share / total) < 1 for name, share in shares.items())
