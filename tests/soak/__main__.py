"""`python -m tests.soak --seed N --steps M` tells one history; `--count N` lives through many, side by side.

`--stats` prints how often which row of the decision table, fault, crash point, edit and deed came up, and which never.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from tests.soak.convergence import Told, run
from tests.soak.coverage import lines_of
from tests.soak.steps import Step, steps_of

CHUNK = 10


def main() -> int:
    """0 when no law was broken, else 1."""
    asked = _arguments()
    if asked.count:
        return _many(asked.seed, asked.count, asked.steps, asked.jobs, stats=asked.stats)
    steps = steps_of(asked.seed, asked.steps)
    told = run(steps)
    if told.broken and not asked.whole:
        steps, told = shortest(steps, told)
        print(f"{len(steps)} of {asked.steps} steps suffice (--whole tells all of them):")
    print("\n".join(told.lines))
    print(f"BROKEN: {told.broken}" if told.broken else f"No law was broken in {told.requests} requests.")
    return 1 if told.broken else 0


def shortest(steps: tuple[Step, ...], told: Told) -> tuple[tuple[Step, ...], Told]:
    """The steps without those that are not needed to break a law: larger parts first, then one by one."""
    size = len(steps) // 2
    while size:
        start = 0
        while start < len(steps):
            fewer = steps[:start] + steps[start + size :]
            again = run(fewer)
            if again.broken:
                steps, told = fewer, again
            else:
                start += size
        size //= 2
    return steps, told


def _many(first: int, count: int, steps: int, jobs: int, *, stats: bool) -> int:
    begun, requests, broken, counts = time.monotonic(), 0, 0, Counter[str]()
    for done, (seed, told) in enumerate(_lived(range(first, first + count), steps, jobs), 1):
        requests += told.requests
        counts += told.counts
        if told.broken:
            broken += 1
            print(f"\rseed {seed}: {told.broken}\n    python -m tests.soak --seed {seed} --steps {steps}")
        if done % CHUNK == 0 or done == count:
            rate = done / (time.monotonic() - begun)
            print(f"\r{done} of {count} histories, {requests} requests, {rate:.1f} a second, {broken} broken", end="")
            sys.stdout.flush()
    print()
    if stats:
        print("\n".join(lines_of(counts)))
    return 1 if broken else 0


def _lived(seeds: range, steps: int, jobs: int) -> Iterator[tuple[int, Told]]:
    # Forked, so that the children know this very module; a child that dies is an error and no endless wait.
    with ProcessPoolExecutor(jobs, get_context("fork")) as pool:
        yield from pool.map(partial(_live, steps), seeds, chunksize=CHUNK)


def _live(steps: int, seed: int) -> tuple[int, Told]:
    try:
        told = run(steps_of(seed, steps))
    except Exception as error:  # of the simulation itself: as bad as a broken law, and no reason to stop
        return seed, Told((), f"{type(error).__name__}: {error}")
    return seed, Told((), told.broken, told.requests, told.counts)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Histories of a reconciler under faults.")
    parser.add_argument("--seed", type=int, default=0, help="which history, or the first of many")
    parser.add_argument("--steps", type=int, default=30, help="how long each is")
    parser.add_argument("--count", type=int, default=0, help="how many, beginning with the seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many processes")
    parser.add_argument("--stats", action="store_true", help="how often what came up, with --count")
    parser.add_argument("--whole", action="store_true", help="do not look for a shorter form of a broken history")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
