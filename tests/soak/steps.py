"""What a history consists of: steps, each with a seed of its own, so that leaving one out changes no other."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["edit", "revert", "work", "time", "apply", "race", "hand", "other", "quiet"]
WEIGHTS: dict[Kind, int] = {
    "edit": 12,
    "revert": 3,
    "work": 12,
    "time": 6,
    "apply": 18,
    "race": 8,
    "hand": 5,
    "other": 3,
    "quiet": 2,
}


@dataclass(frozen=True, slots=True)
class Step:
    """What is done, and the seed of everything about it that is random."""

    kind: Kind
    seed: int


def steps_of(seed: int, count: int) -> tuple[Step, ...]:
    """The steps of a seed: first commits, in half of the histories time for them to come true, then anything."""
    random = Random(seed)
    kinds = random.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)
    first: list[Kind] = random.choice((["edit"], ["edit", "edit", "quiet", "quiet"]))
    return tuple(Step(kind, random.getrandbits(32)) for kind in [*first, *kinds[len(first) :]])
