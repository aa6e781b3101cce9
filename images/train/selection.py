"""Which of the tokenised rows are learnt from: each once, by weight, so many at most; and which the eval rows repeat.

Rows are the same when their tokens are: what the model sees, not how it was written.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from itertools import groupby
from typing import TypeAlias

from images.train.masks import Encoded
from images.train.rows import Example

Pair: TypeAlias = tuple[Example, Encoded]


def deduplicated(rows: Sequence[Pair]) -> tuple[list[Pair], int]:
    """The rows without later repetitions, and how many those were."""
    first: dict[tuple[tuple[int, ...], tuple[int, ...]], Pair] = {}
    for example, row in rows:
        first.setdefault((row.input_ids, row.labels), (example, row))
    return list(first.values()), len(rows) - len(first)


def held_back(rows: Sequence[Pair], fraction: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """(learnt from, held back): about `fraction` of the rows is held back, by a hash of the seed and their tokens."""
    sides: tuple[list[Pair], list[Pair]] = ([], [])
    for pair in rows:
        digest = hashlib.sha256(f"{seed} {pair[1].input_ids}".encode()).digest()
        sides[int.from_bytes(digest[:8]) < fraction * 2**64].append(pair)
    return sides


def drawn(rows: Sequence[Pair], count: int, seed: int) -> list[Pair]:
    """`count` of the rows, evenly drawn, in their order."""
    return [rows[index] for index in sorted(random.Random(seed).sample(range(len(rows)), count))]


def weighted(rows: Sequence[Pair], seed: int) -> list[Pair]:
    """Every row as often as its weight says: the whole part each, and of the rest so many rows, evenly drawn."""
    taken: list[Pair] = []
    for weight, group in groupby(rows, key=lambda pair: pair[0].weight):
        alike = list(group)
        if weight == 1.0:
            taken += alike
            continue
        whole, rest = divmod(weight, 1)
        taken += alike * int(whole)
        taken += drawn(alike, round(rest * len(alike)), seed)
    return taken


def shared(train: Sequence[Pair], held: Sequence[Pair]) -> list[tuple[Example, Example]]:
    """Where rows stand that are learnt and judged: (training, eval), in the order of the eval rows."""
    places = {row.input_ids: example for example, row in reversed(train)}
    return [(places[row.input_ids], example) for example, row in held if row.input_ids in places]
