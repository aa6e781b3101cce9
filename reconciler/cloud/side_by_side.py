"""Carrying out numbered steps side by side, as far as their order allows. What a step is, is decided elsewhere.

Whoever asked hears of every end in its own thread, so that only the steps themselves need to be safe with others.
With workers that act at once, in the caller's thread, the order is that of the numbers, every time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from heapq import heapify, heappop, heappush
from queue import SimpleQueue
from typing import TypeVar

from reconciler.cloud.site import Workers

T = TypeVar("T")


def side_by_side(
    predecessors: Sequence[Collection[int]],
    act: Callable[[int], T],
    workers: Workers,
    on_end: Callable[[int, T], None],
) -> None:
    """Run `act(number)` for every number whose predecessors have ended; the lowest of those that may begin first.

    `on_end` is called in this thread before any successor begins. What a step or `on_end` raises is raised here, once
    the steps in flight have ended; those that have not begun then never do. An interruption waits for nothing.
    """
    missing = [len(needed) for needed in predecessors]
    successors: list[list[int]] = [[] for _ in predecessors]
    for number, needed in enumerate(predecessors):
        for other in needed:
            successors[other].append(number)
    ready = [number for number, count in enumerate(missing) if not count]
    heapify(ready)
    running: dict[Future[T], int] = {}
    ended: SimpleQueue[Future[T]] = SimpleQueue()
    pool = workers()
    try:
        while ready or running:
            while ready and ended.empty():
                number = heappop(ready)
                future = pool.submit(act, number)
                running[future] = number
                future.add_done_callback(ended.put)
            future = ended.get()
            number = running.pop(future)
            on_end(number, future.result())
            for successor in successors[number]:
                missing[successor] -= 1
                if not missing[successor]:
                    heappush(ready, successor)
    except BaseException as error:
        pool.shutdown(wait=isinstance(error, Exception), cancel_futures=True)
        raise
    pool.shutdown()
