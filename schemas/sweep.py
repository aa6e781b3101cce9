"""The block `sweep`: several trainings with other values, of which the best one is the experiment's."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from schemas.effects import Effect
from schemas.primitives import Block, Count, Positive, Tuple

Goal = Literal["minimize", "maximize"]
Scalar = bool | int | float | str


class Parameter(Block):
    """The values of one key: some that are listed, or a range."""

    values: Tuple[Scalar] | None = Field(None, min_length=1)
    min: float | int | None = None
    max: float | int | None = None
    scale: Literal["linear", "log", "reverse_log"] = "linear"

    @model_validator(mode="after")
    def _one_way(self) -> Parameter:
        ranged = self.min is not None or self.max is not None
        if (self.values is None) == (not ranged):
            raise ValueError("give `values`, or `min` and `max`")
        if self.values is not None:
            return self
        if self.min is None or self.max is None:
            raise ValueError("a range has `min` and `max`")
        if not (math.isfinite(self.min) and math.isfinite(self.max)) or self.min >= self.max:
            raise ValueError("`min` is below `max`")
        if self.scale != "linear" and self.min <= 0:
            raise ValueError(f"a range on a scale of `{self.scale}` is above 0")
        return self

    @property
    def whole(self) -> bool:
        """A range of whole numbers."""
        return isinstance(self.min, int) and isinstance(self.max, int)


class Sweep(Block):
    """A search. Every trial holds the same training rows back to be compared by, apart from `data.eval`."""

    parameters: Annotated[dict[str, Parameter], Effect.RETRAIN] = Field(
        min_length=1, description="Keys of `training` and `adapter` (training.learning_rate), and what they may be."
    )
    metric: Annotated[str, Effect.RETRAIN] = Field("eval_loss", description="What the trials are compared by.")
    goal: Annotated[Goal, Effect.RETRAIN] = "minimize"
    trials: Annotated[Positive, Effect.RETRAIN] = Field(description="How many trainings.")
    parallel: Annotated[Positive, Effect.RUN] = Field(1, description="How many of them at a time.")
    algorithm: Annotated[Literal["bayesian", "random", "grid"], Effect.RETRAIN] = "bayesian"
    fraction: Annotated[float, Effect.RETRAIN] = Field(
        0.1, gt=0, lt=1, description="About so much of the training rows is held back to compare the trials by."
    )
    seed: Annotated[Count, Effect.RETRAIN] = Field(0, description="Another seed holds other rows back.")

    def largest(self, path: str) -> int:
        """The largest value that a whole number may get; 1 for a key that is not tried."""
        one = self.parameters.get(path)
        tried = [*(one.values or ()), one.max] if one else []
        return max((int(value) for value in tried if isinstance(value, int | float)), default=1)

    @property
    def at_once(self) -> int:
        """Trials that run at a time."""
        return min(self.parallel, self.trials)


def parameter_id(path: str) -> str:
    """What Vertex AI calls a key: `training.learning_rate` is `training-learning_rate`."""
    return path.replace(".", "-", 1)


def as_value(text: str, example: Any = None) -> Any:
    """A value as a trial is told it, in words: a number where it is one, and a whole one where it can be."""
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() and not isinstance(example, float) else number
