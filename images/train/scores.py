"""How good answers are: one number for each answer and metric, 1 the best. Pure, apart from sqlite in memory.

`exact_match` compares stripped texts; `f1` the words, as SQuAD does; `rouge_l` is rouge_score's F-measure; `bleu` and
`chrf` are sacrebleu's of single sentences, divided by 100; `json_valid` asks whether the answer is JSON; `sql_match`
runs it (`sql.py`); further ones are the user's own functions (`own_metric.py`).
"""

from __future__ import annotations

import json
import math
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from images.train.answers import Prediction
from images.train.failures import SpecInvalid
from images.train.sql import Databases
from schemas.gate import ALWAYS, SCORED, SQL, STOPPED
from schemas.row_scores import RowScores

DIGITS = 6
"""Decimal places of a metric and of a row's score."""

Score: TypeAlias = Callable[[Prediction], float]


def known_metrics(names: Sequence[str], own: Sequence[str], eval_rows: bool, form: str) -> tuple[str, ...]:
    """Those of `names`, and all of `own`, that need answers; raises `SpecInvalid` for what nobody can compute."""
    wanted = (*(name for name in names if name not in ALWAYS and name not in own), *own)
    for name in wanted:
        if name not in SCORED and name not in own:
            raise SpecInvalid(
                f"evaluation metric {name!r} is not known",
                f"It can be one of {', '.join(sorted([*ALWAYS, *SCORED]))}, or a function of yours (evaluation.own).",
            )
    if wanted and not eval_rows:
        raise SpecInvalid(
            f"evaluation metric {wanted[0]} needs eval rows", "Name a file in data.eval, or give data.eval_fraction."
        )
    if wanted and form == "text":
        raise SpecInvalid(f"evaluation metric {wanted[0]} needs questions and answers", "Plain text has only a loss.")
    return wanted


def score(
    predictions: Sequence[Prediction],
    metrics: Sequence[str],
    digest: str,
    *,
    own: Mapping[str, Score] | None = None,
    databases: Databases | None = None,
) -> RowScores:
    """Each of `metrics` for each of `predictions`, beside `stopped`: 1 for an answer that ended by itself.

    `digest` is that of the evaluation rows (`rows_digest`); `own` are the user's functions by metric; `sql_match` needs
    `databases`. Raises `SpecInvalid` for a score that is no number.
    """
    scorers = {name: (own or {}).get(name) or _scorer(name, databases) for name in metrics}
    scores = {name: tuple(_number(name, scorer, p) for p in predictions) for name, scorer in scorers.items()}
    scores[STOPPED] = tuple(float(p.stopped) for p in predictions)
    return RowScores(eval_digest=digest, rows=tuple(p.row for p in predictions), metrics=scores)


def means(scores: RowScores) -> dict[str, float]:
    """Each metric as the mean over the rows; NaN over none."""
    return {name: math.fsum(row) / len(row) if row else math.nan for name, row in scores.metrics.items()}


def _number(name: str, scorer: Score, prediction: Prediction) -> float:
    value = scorer(prediction)
    if not math.isfinite(value):
        raise SpecInvalid(f"evaluation metric {name} of row {prediction.row} is {value}", "A score is a finite number.")
    return round(value, DIGITS)


def _scorer(name: str, databases: Databases | None) -> Score:
    if name == SQL:
        if databases is None:
            raise SpecInvalid(f"{SQL} needs a database to run in", "Give evaluation.sql.")
        return databases.score
    return _SCORERS[name]()


def _exact_match() -> Score:
    return lambda p: float(p.answer.strip() == p.expected.strip())


def _f1() -> Score:
    def f1(prediction: Prediction) -> float:
        said, wanted = Counter(_words(prediction.answer)), Counter(_words(prediction.expected))
        common = (said & wanted).total()
        if not said or not wanted:
            return float(said == wanted)
        precision, recall = common / said.total(), common / wanted.total()
        return 2 * precision * recall / (precision + recall) if common else 0.0

    return f1


def _words(text: str) -> list[str]:
    bare = text.lower().translate(str.maketrans("", "", string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


def _rouge_l() -> Score:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    return lambda p: float(scorer.score(p.expected, p.answer)["rougeL"].fmeasure)


def _sacrebleu(make: Callable[[Any], Any]) -> Callable[[], Score]:
    def scorer() -> Score:
        from sacrebleu import metrics

        metric = make(metrics)
        return lambda p: float(metric.sentence_score(p.answer, [p.expected]).score) / 100

    return scorer


def _json_valid() -> Score:
    def valid(prediction: Prediction) -> float:
        try:
            json.loads(prediction.answer, parse_constant=_no_json)
        except (ValueError, RecursionError):
            return 0.0
        return 1.0

    return valid


def _no_json(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


_SCORERS: Mapping[str, Callable[[], Score]] = {
    "bleu": _sacrebleu(lambda metrics: metrics.BLEU(effective_order=True)),
    "chrf": _sacrebleu(lambda metrics: metrics.CHRF()),
    "exact_match": _exact_match,
    "f1": _f1,
    "json_valid": _json_valid,
    "rouge_l": _rouge_l,
}
