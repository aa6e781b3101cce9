from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cloud.side_by_side import side_by_side
from tests.soak.actors import OneByOne

MANY = partial(ThreadPoolExecutor, 4)
orders = st.lists(st.sets(st.integers(0, 20), max_size=3), max_size=20).map(
    lambda rows: [{other for other in needed if other < number} for number, needed in enumerate(rows)]
)


@given(orders)
def test_every_step_begins_after_all_its_predecessors_have_ended(predecessors: list[set[int]]) -> None:
    ended: set[int] = set()
    missed: list[int] = []

    def act(number: int) -> int:
        missed.extend(predecessors[number] - ended)
        return number

    side_by_side(predecessors, act, MANY, lambda number, same: ended.add(same))

    assert (missed, ended) == ([], set(range(len(predecessors))))


@given(orders)
def test_workers_that_act_at_once_keep_the_order_of_the_numbers(predecessors: list[set[int]]) -> None:
    told: list[int] = []

    side_by_side(predecessors, lambda number: number, OneByOne, lambda number, _: told.append(number))

    assert told == list(range(len(predecessors)))


def test_independent_steps_are_under_way_at_the_same_time() -> None:
    meet = threading.Barrier(4, timeout=20)

    side_by_side([()] * 4, lambda number: meet.wait(), MANY, lambda number, _: None)

    assert not meet.broken


def test_no_more_steps_are_under_way_than_there_are_workers() -> None:
    lock, under_way, most = threading.Lock(), 0, 0

    def act(number: int) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        threading.Event().wait(0.001)
        with lock:
            under_way -= 1

    side_by_side([()] * 40, act, MANY, lambda number, _: None)

    assert 1 < most <= 4


def test_ends_are_told_in_the_callers_thread() -> None:
    threads: set[threading.Thread] = set()

    side_by_side([()] * 8, lambda number: number, MANY, lambda number, _: threads.add(threading.current_thread()))

    assert threads == {threading.current_thread()}


def test_what_a_step_raises_keeps_the_others_from_beginning() -> None:
    begun: list[int] = []

    def act(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise KeyError("a fault")

    with pytest.raises(KeyError):
        side_by_side([(), (0,), (1,)], act, MANY, lambda number, _: None)

    assert begun == [0]
