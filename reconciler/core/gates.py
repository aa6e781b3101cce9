"""May a trained model serve? One verdict from metrics, the champion's metrics, and scores per row where asked for.

It decides from what it is given and remembers nothing: who the champion is, and whether a model was judged before, is
decided in `judging.py`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reconciler.core.bootstrap import certainty
from reconciler.core.verdict import Bound, Judged, Scores

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
}
_DIGITS = 9
"""Sums are rounded to so many decimal places: 0.7 + 0.1 is meant as 0.8."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured on the model of one run."""

    stamp: str
    metrics: Mapping[str, float] | None
    """None: its run record is gone."""
    digest: str = ""
    """Of the rows that it was measured on; empty when nobody wrote it down."""
    rows: int = 0
    scores: Scores | None = None

    def value(self, metric: str) -> float:
        """NaN for what was not measured."""
        return (self.metrics or {}).get(metric, math.nan)


def judge(bound: Bound, candidate: Measured, champion: Measured | None) -> Judged:
    """Judge one bound; without a champion a relative one passes and says so.

    What cannot be compared does not pass: a metric that is missing or no number, on either side; another set of rows
    than the champion's; no scores per row where a confidence is asked for.
    """
    value = candidate.value(bound.metric)
    if not math.isfinite(value):
        return _unknown(bound, f"{bound.metric} was not measured: a run measures what `evaluation.metrics` names")
    if not bound.relative:
        return _absolute(bound, value, candidate)
    if champion is None:
        return Judged(bound.text, True, f"{bound.metric} = {value:g}, no champion to compare with", value)
    against = champion.value(bound.metric)
    if not math.isfinite(against):
        why = "has no run record to compare with" if champion.metrics is None else f"has no {bound.metric}"
        return _unknown(bound, f"the champion {champion.stamp[:6]} {why}", value)
    if not candidate.digest or candidate.digest != champion.digest:
        rows = f"{_rows(candidate)} here, {_rows(champion)} the champion {champion.stamp[:6]}"
        words = f"{bound.metric} = {value:g} and the champion's {against:g} were measured on other rows ({rows})"
        return _unknown(bound, f"{words}: bound it by a number, or measure both on the same rows", value, against)
    return _relative(bound, value, against, candidate, champion)


def _absolute(bound: Bound, value: float, candidate: Measured) -> Judged:
    if bound.confidence is None:
        return _compared(bound, value, bound.value, f"{bound.value:g}")
    scores = _scores(candidate, bound.metric)
    if scores is None:
        return _unscored(bound, candidate, value)
    return _bootstrapped(bound, value, bound.value, f"{bound.value:g}", scores, bound.value, candidate.stamp)


def _relative(bound: Bound, value: float, against: float, candidate: Measured, champion: Measured) -> Judged:
    limit = round(against + bound.value, _DIGITS)
    words = f"champion's {against:g}{_signed(bound.value)}"
    if bound.confidence is None:
        return _compared(bound, value, limit, words, against)
    own, its = _scores(candidate, bound.metric), _scores(champion, bound.metric)
    if own is None:
        return _unscored(bound, candidate, value, against)
    if its is None:
        return _unscored(bound, champion, value, against)
    if _which(candidate) != _which(champion):
        return _unknown(bound, f"not the same rows have a {bound.metric} here and on the champion", value, against)
    differences = tuple(round(mine - other, _DIGITS) for mine, other in zip(own, its, strict=True))
    seed = f"{candidate.stamp} {champion.stamp}"
    return _bootstrapped(bound, value, limit, words, differences, bound.value, seed, against)


def _compared(bound: Bound, value: float, limit: float, words: str, champion: float | None = None) -> Judged:
    passed = _OPERATORS[bound.operator](value, limit)
    said = f"{bound.metric} = {value:g}, {'' if passed else 'not '}{bound.operator} {words}"
    return Judged(bound.text, passed, said + ("" if passed else _missed(value, limit)), value, limit, champion)


def _bootstrapped(
    bound: Bound,
    value: float,
    limit: float,
    words: str,
    values: tuple[float, ...],
    threshold: float,
    seed: str,
    champion: float | None = None,
) -> Judged:
    holds, high = _OPERATORS[bound.operator], not bound.operator.startswith("<")
    asked = bound.confidence or 0.0
    sure = certainty(values, lambda mean: holds(mean, threshold), asked, high_is_good=high, seed=f"{seed} {bound.text}")
    passed = sure.share >= asked
    said = f"{bound.metric} = {value:g}, {'' if passed else 'not '}{bound.operator} {words}"
    said += (
        f" at {100 * sure.share:.3g} % ({100 * asked:g} % asked, half-width {sure.half_width:.2g}, {len(values)} rows)"
    )
    if not passed:
        said += _missed(value - sure.half_width if high else value + sure.half_width, limit)
    warning = _too_few(bound, sure.half_width, len(values)) if bound.relative else ""
    return Judged(bound.text, passed, said, value, limit, champion, sure.share, sure.half_width, warning)


def _too_few(bound: Bound, half_width: float, rows: int) -> str:
    """Words for a margin that so few rows cannot show."""
    margin = abs(bound.value)
    if margin >= half_width:
        return ""
    said = f"`{bound.text}`: a margin of {margin:g} is below the half-width {half_width:.2g} of {rows} rows"
    if not margin:
        return f"{said}: a model as good as the champion may fail; allow a margin"
    return f"{said}: about {math.ceil(rows * (half_width / margin) ** 2)} rows are needed to show it"


def _scores(measured: Measured, metric: str) -> tuple[float, ...] | None:
    scores = measured.scores
    if scores is None or scores.digest != measured.digest:
        return None
    return scores.metrics.get(metric) or None


def _which(measured: Measured) -> tuple[int, ...]:
    return measured.scores.rows if measured.scores else ()


def _unscored(bound: Bound, measured: Measured, value: float, champion: float | None = None) -> Judged:
    words = f"the run {measured.stamp[:6]} left no {bound.metric} per row, which a confidence needs: leave it out"
    return _unknown(bound, words, value, champion)


def _unknown(bound: Bound, words: str, value: float | None = None, champion: float | None = None) -> Judged:
    return Judged(bound.text, False, words, value, None, champion)


def _missed(value: float, limit: float) -> str:
    return f", misses by {abs(value - limit):.3g}"


def _signed(margin: float) -> str:
    return f" {'-' if margin < 0 else '+'} {abs(margin):g}" if margin else ""


def _rows(measured: Measured) -> str:
    return f"{measured.rows} rows {measured.digest[:6]}" if measured.digest else "rows of which nothing is recorded"
