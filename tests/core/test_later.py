from __future__ import annotations

from collections.abc import Mapping

import pytest

from reconciler.core.later import Later


def test_it_is_made_once_and_only_when_somebody_looks() -> None:
    made: list[int] = []

    def make() -> Mapping[str, int]:
        made.append(1)
        return {"a": 1, "b": 2}

    later = Later(make)
    before = len(made)

    assert (before, later["a"], list(later), len(later), repr(later)) == (0, 1, ["a", "b"], 2, "{'a': 1, 'b': 2}")
    assert later == {"a": 1, "b": 2}
    assert len(made) == 1


def test_what_cannot_be_made_says_so_when_somebody_looks() -> None:
    def make() -> Mapping[str, int]:
        raise ValueError("not this one")

    later = Later(make)

    with pytest.raises(ValueError, match="not this one"):
        len(later)
