"""What a hyperparameter study suggests next, and which trial is best. Pure.

Grid and random search only: where the service would choose cleverly (Bayesian optimisation), this samples at random.
The same job suggests the same values again for the same trial.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable
from typing import Any

from reconciler.emulator.wire.codec import Message
from reconciler.emulator.wire.errors import ApiError, Json, invalid

GRID, MAXIMIZE = 2, 1
LOG, REVERSE_LOG = 2, 3
LAST, BEST = 1, 2


def check(study: Message, place: str) -> None:
    """Raises INVALID_ARGUMENT, or UNIMPLEMENTED for conditional parameters."""
    if not study.metrics:
        raise invalid(f"{place}.metrics", "A study needs at least one metric.")
    if not study.parameters:
        raise invalid(f"{place}.parameters", "A study needs at least one parameter.")
    for number, metric in enumerate(study.metrics):
        if not metric.metric_id or metric.goal not in (1, 2):
            raise invalid(f"{place}.metrics[{number}]", "A metric needs a metric_id, and MAXIMIZE or MINIMIZE as goal.")
    for number, one in enumerate(study.parameters):
        where = f"{place}.parameters[{number}]"
        kind = one.WhichOneof("parameter_value_spec")
        if not one.parameter_id or kind is None:
            raise invalid(where, "A parameter needs a parameter_id and a value spec.")
        if one.conditional_parameter_specs:
            raise ApiError("UNIMPLEMENTED", "The embedded Vertex AI samples no conditional parameters.")
        spec = getattr(one, kind)
        if kind in ("double_value_spec", "integer_value_spec"):
            if spec.min_value > spec.max_value or not math.isfinite(spec.max_value - spec.min_value):
                raise invalid(where, f"The minimum of {one.parameter_id} must not be above its maximum.")
            if one.scale_type in (LOG, REVERSE_LOG) and spec.min_value <= 0:
                raise invalid(where, f"The minimum of {one.parameter_id} must be positive on a logarithmic scale.")
            if kind == "double_value_spec" and study.algorithm == GRID:
                raise invalid(where, f"A grid search cannot enumerate {one.parameter_id}, which is a double.")
        elif not spec.values:
            raise invalid(where, f"The parameter {one.parameter_id} has no values.")


def suggest(study: Message, seed: str, number: int) -> dict[str, Any] | None:
    """The values of trial `number` (from 1); None when a grid has no more."""
    if study.algorithm == GRID:
        at, values = number - 1, {}
        for one in reversed(study.parameters):  # the last one changes fastest
            at, place = divmod(at, _size(one))
            values[one.parameter_id] = _nth(one, place)
        return None if at else {one.parameter_id: values[one.parameter_id] for one in study.parameters}
    dice = random.Random(f"{seed}/{number}")
    return {one.parameter_id: _drawn(one, dice) for one in study.parameters}


def measured(lines: Iterable[str], wanted: Iterable[str]) -> list[tuple[int, dict[str, float]]]:
    """(step, metrics) of each report in a metrics file of cloudml-hypertune, or in the trainer's `metrics` events."""
    names = tuple(wanted)
    found = []
    for line in lines:
        try:
            report: Json = json.loads(line.removeprefix("LORAFORM "))
            values = {name: float(report[name]) for name in names if name in report}
            step = int(float(report.get("global_step", 0)))
        except (ValueError, TypeError, AttributeError, OverflowError):
            continue
        if values and all(map(math.isfinite, values.values())):
            found.append((step, values))
    return found


def chosen(study: Message, reports: list[tuple[int, dict[str, float]]]) -> tuple[int, dict[str, float]] | None:
    """The report that counts: the last, or the best by the first metric; None without that metric."""
    metric = study.metrics[0]
    full = [report for report in reports if metric.metric_id in report[1]]
    if not full:
        return None
    if study.measurement_selection_type == BEST:
        return max(full, key=lambda report: _worth(metric, report[1][metric.metric_id]))
    return full[-1]


def best_first(study: Message, trials: Iterable[Message]) -> list[Message]:
    """The trials with the best by the first metric first; those without a measurement at the end."""
    metric = study.metrics[0]

    def key(trial: Message) -> tuple[float, int]:
        values = [one.value for one in trial.final_measurement.metrics if one.metric_id == metric.metric_id]
        return (-_worth(metric, values[0]) if values else math.inf, int(trial.id))

    return sorted(trials, key=key)


def _worth(metric: Message, value: float) -> float:
    return value if metric.goal == MAXIMIZE else -value


def _size(one: Message) -> int:
    if one.HasField("integer_value_spec"):
        return int(one.integer_value_spec.max_value - one.integer_value_spec.min_value + 1)
    return len(getattr(one, one.WhichOneof("parameter_value_spec")).values)


def _nth(one: Message, place: int) -> Any:
    if one.HasField("integer_value_spec"):
        return one.integer_value_spec.min_value + place
    return getattr(one, one.WhichOneof("parameter_value_spec")).values[place]


def _drawn(one: Message, dice: random.Random) -> Any:
    if one.HasField("double_value_spec"):
        return _between(one.double_value_spec.min_value, one.double_value_spec.max_value, one.scale_type, dice)
    if one.HasField("integer_value_spec"):
        low, high = one.integer_value_spec.min_value, one.integer_value_spec.max_value
        return min(high, max(low, round(_between(low, high, one.scale_type, dice))))
    return _nth(one, dice.randrange(_size(one)))


def _between(low: float, high: float, scale: int, dice: random.Random) -> float:
    if scale == LOG:
        return min(high, max(low, math.exp(dice.uniform(math.log(low), math.log(high)))))
    if scale == REVERSE_LOG:
        return min(high, max(low, low + high - math.exp(dice.uniform(math.log(low), math.log(high)))))
    return dice.uniform(low, high)
