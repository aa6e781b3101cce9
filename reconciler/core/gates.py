"""May a trained model serve? A gate is `metric operator bound`, the bound a number or `champion +/- number`."""

from __future__ import annotations

import hashlib
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_GRAMMAR = re.compile(
    rf"\s*(?P<metric>[a-z][a-z0-9_]*)\s*(?P<op><=|>=|==|<|>)\s*"
    rf"(?:(?P<bound>{_NUMBER})|(?P<champion>champion)(?:\s*(?P<sign>[-+])\s*(?P<margin>\d*\.?\d+(?:[eE][-+]?\d+)?))?)\s*"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the gate is passed, and one line per expression that says why."""

    passed: bool
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """One parsed expression. `relative` bounds are added to the champion's value of the same metric."""

    metric: str
    op: str
    value: float
    relative: bool


def parse(expression: str) -> Bound:
    """Read one gate expression; ValueError says what the grammar is."""
    match = _GRAMMAR.fullmatch(expression)
    if match is None:
        raise ValueError(
            f"{expression!r} is not a gate: write `metric <= number` or `metric >= champion - number` "
            "with one of <= >= < > =="
        )
    if match["champion"]:
        margin = float(match["margin"] or 0)
        return Bound(match["metric"], match["op"], -margin if match["sign"] == "-" else margin, relative=True)
    return Bound(match["metric"], match["op"], float(match["bound"]), relative=False)


def judge(expressions: tuple[str, ...], metrics: Mapping[str, float], champion: Mapping[str, float] | None) -> Verdict:
    """Judge metrics against the gate and against what serves now (None: nothing does, relative bounds pass).

    A metric that is missing or not a number does not pass.
    """
    judged = [_judge_one(parse(expression), metrics, champion) for expression in expressions]
    return Verdict(all(passed for passed, _ in judged), tuple(line for _, line in judged))


def gate_stamp(expressions: tuple[str, ...], *, passed: bool) -> str:
    """The verdict as a label value: it holds for exactly this gate text."""
    text = hashlib.sha256("\n".join(expressions).encode()).hexdigest()[:12]
    return f"{'passed' if passed else 'failed'}-{text}"


def _judge_one(bound: Bound, metrics: Mapping[str, float], champion: Mapping[str, float] | None) -> tuple[bool, str]:
    value = metrics.get(bound.metric, math.nan)
    if math.isnan(value):
        return False, f"{bound.metric} was not measured"
    if not bound.relative:
        return _compare(bound, value, bound.value, f"{bound.value:g}")
    if champion is None:
        return True, f"{bound.metric} = {value:g}, no champion to compare with"
    against = champion.get(bound.metric, math.nan)
    if math.isnan(against):
        return False, f"{bound.metric} of the champion was not measured"
    return _compare(bound, value, against + bound.value, f"champion's {against:g} {bound.value:+g}")


def _compare(bound: Bound, value: float, limit: float, words: str) -> tuple[bool, str]:
    passed = _OPERATORS[bound.op](value, limit)
    return passed, f"{bound.metric} = {value:g}, {'' if passed else 'not '}{bound.op} {words}"
