"""The retention rule: what keeps an artifact, in which order the reasons are told, and what is left to go."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.retention import Keep, Stored, pruning


def stored(number: int, **overrides: Any) -> Stored:
    """The run number so-and-so of `bot`; a higher number is a newer one."""
    stamp = f"{number:020d}"
    values: dict[str, Any] = {
        "identity": stamp + "0" * 44, "stamp": stamp, "experiment": "bot", "written": float(number), "size": 10,
        "objects": 2,
    }  # fmt: skip
    return Stored(**(values | overrides))


FIVE = tuple(stored(number) for number in range(1, 6))


def test_the_newest_three_of_each_experiment_stay_and_the_others_go() -> None:
    found = pruning((*FIVE, stored(9, experiment="lone")), {})

    assert [item.stamp for item in found.prunable] == [stored(2).stamp, stored(1).stamp]
    assert {item.why for item in found.kept} == {Keep.NEWEST}
    assert len(found.kept) == 4


@pytest.mark.parametrize("why", [keep for keep in Keep if keep not in (Keep.PROTECTED, Keep.UNREADABLE, Keep.NEWEST)])
def test_a_run_that_something_holds_on_to_stays(why: Keep) -> None:
    found = pruning(FIVE, {why: {stored(1).stamp}})

    assert [item.stamp for item in found.prunable] == [stored(2).stamp]
    assert [item.why for item in found.kept if item.stored.stamp == stored(1).stamp] == [why]


@pytest.mark.parametrize("why", [Keep.PROTECTED, Keep.UNREADABLE])
def test_all_runs_of_an_experiment_stay_where_it_is_protected_or_not_clear(why: Keep) -> None:
    found = pruning(FIVE, {why: {"bot"}})

    assert found.prunable == ()
    assert {item.why for item in found.kept} == {why}


def test_what_was_merged_stays_as_long_as_its_adapter_and_is_no_run_of_its_own() -> None:
    merged = [stored(number + 10, made_from=stored(number).stamp) for number in (1, 5)]

    found = pruning((*FIVE, *merged), {})

    assert {item.stored.stamp for item in found.kept} == {stored(n).stamp for n in (3, 4, 5, 15)}
    assert {item.stamp for item in found.prunable} == {stored(n).stamp for n in (1, 2, 11)}


def test_of_several_reasons_the_strongest_is_told() -> None:
    (kept,) = pruning((stored(1),), {Keep.NAMED: {stored(1).stamp}, Keep.SERVES: {stored(1).stamp}}).kept

    assert kept.why is Keep.SERVES


def test_a_pruned_run_counts_for_nothing_and_what_is_left_of_it_goes() -> None:
    pruned = [stored(number, pruned=True, objects=0) for number in (6, 7, 8)]
    half = stored(9, pruned=True, objects=1)

    found = pruning((*FIVE, *pruned, half), {})

    assert len(found.kept) == 3
    assert found.unfinished == (half,)
    assert found.going == (*found.prunable, half)


def test_a_pruned_run_that_is_trained_again_is_let_alone() -> None:
    half = stored(9, pruned=True, objects=1)

    assert pruning((half,), {Keep.TRAINS: {half.stamp}}).going == ()


def test_the_id_moves_with_what_would_go_and_with_nothing_else() -> None:
    one, other = pruning(FIVE, {}), pruning(tuple(reversed(FIVE)), {Keep.SERVES: {stored(5).stamp}})

    assert one.id == other.id
    assert one.id != pruning(FIVE[1:], {}).id
    assert len(one.id) == 12
