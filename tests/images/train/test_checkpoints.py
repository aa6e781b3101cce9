"""After which epochs a checkpoint is kept."""

from __future__ import annotations

import pytest

from images.train.checkpoints import epochs_kept


@pytest.mark.parametrize(
    ("epochs", "kept"),
    [(1, set()), (2, {1}), (3, {1, 2}), (10, set(range(1, 10))), (20, set(range(2, 20, 2))), (0.5, set())],
)
def test_every_epoch_but_the_last_is_kept_and_ten_are_the_most(epochs: float, kept: set[int]) -> None:
    assert epochs_kept(epochs) == kept


@pytest.mark.parametrize("epochs", range(1, 200))
def test_there_are_never_more_than_nine_before_the_last(epochs: int) -> None:
    kept = epochs_kept(epochs)

    assert len(kept) == min(epochs, 10) - 1
    assert all(0 < epoch < epochs for epoch in kept)
