"""Artifacts of a run that goes on: after some of its epochs the model as it then is, in a folder of its own.

Decides after which epochs. What such a folder holds is what every artifact holds (`artifact.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MOST = 10
"""Checkpoints of one run, the final artifact among them."""


def epochs_kept(epochs: float, most: int = MOST) -> frozenset[int]:
    """The epochs after which a checkpoint is written: each but the last, or evenly spaced when those are too many."""
    last = round(epochs)
    wanted = min(last, most)
    return frozenset(round(number * last / wanted) for number in range(1, wanted)) if wanted > 1 else frozenset()


def keeper(save: Callable[[Any, int, int], None]) -> Any:
    """A trainer callback that calls `save(model, epoch, step)` after the epochs that are kept."""
    from transformers import TrainerCallback

    def on_epoch_end(_: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        epoch = round(state.epoch or 0)
        if args.max_steps <= 0 and epoch in epochs_kept(args.num_train_epochs):
            save(kwargs["model"], epoch, state.global_step)

    return type("Keeper", (TrainerCallback,), {"on_epoch_end": on_epoch_end})()
