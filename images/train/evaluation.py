"""Evaluation, a phase of its own: an artifact, loaded as it will be served, is measured on rows, and so is its base.

It knows nothing of the training that came before and is called alike for an artifact that has long existed. What the
metrics mean is in `scores.py`; what must hold for a model to serve is the planner's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from images.train import harness
from images.train.answers import Prediction, losses, predict
from images.train.failures import Diverged, SpecInvalid
from images.train.intervals import interval, paired
from images.train.masks import Encoded
from images.train.progress import Progress
from images.train.scores import DIGITS, Score, means, score
from images.train.served import Artifact, Served, load_base, load_served, merged, release
from images.train.settings import Hardware
from images.train.sql import Databases
from schemas.gate import LEAST_STOPPED, STOPPED
from schemas.metrics import Check, Compared, Interval, Metrics, Sample
from schemas.row_scores import RowScores

SAMPLES = 10


@dataclass(frozen=True, slots=True)
class Settings:
    """What is measured, and how. `metrics` need answers (`known_metrics`); without any only the losses are measured."""

    metrics: tuple[str, ...] = ()
    own: Mapping[str, Score] = field(default_factory=dict)
    databases: Databases | None = None
    form: str = "adapter"
    """How it will be served: `adapter` or `merged`."""
    max_tokens: int | None = None
    against_base: bool = True
    harness_tasks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EvalRows:
    """The rows, their tokenizer, the tokens that end an answer, and the digest of what the rows say."""

    rows: Sequence[Encoded]
    tokenizer: Any
    stops: Sequence[int]
    digest: str


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What came out: `metrics` by name as a gate knows them, the whole report, and what each row scored."""

    metrics: dict[str, float]
    report: Metrics
    predictions: tuple[Prediction, ...] = ()
    scores: RowScores | None = None
    base_predictions: tuple[Prediction, ...] = ()
    base_scores: RowScores | None = None


def evaluate(
    settings: Settings, artifact: Artifact, rows: EvalRows, hardware: Hardware, progress: Progress
) -> Evaluated:
    """Load the artifact and measure it, and its base. Memory is given back before and after.

    Raises `Diverged` when the loss is no number, `SpecInvalid` where nothing can be asked.
    """
    release()
    served = load_served(artifact, hardware, settings.form, progress)
    base = _Measured({}) if not settings.against_base else _of_base(settings, artifact, served, rows, hardware)
    if settings.form == "merged":
        served = merged(served)
    tuned = _measure(settings, served.model, rows)
    metrics = {name: round(value, DIGITS) for name, value in tuned.metrics.items() if math.isfinite(value)}
    if "eval_loss" not in metrics and rows.rows:
        raise Diverged("The loss on the eval rows is not a number", "Lower learning_rate, or add warmup_steps.")
    metrics |= harness.run(settings.harness_tasks, served.model, rows.tokenizer)
    form = served.form
    del served
    release()
    checks = _checks(metrics)
    for name, check in checks.items():
        if not check.passed:
            progress.note(f"check {name} failed: {check.words}")
    report = Metrics(
        metrics=metrics,
        rows=len(rows.rows),
        answers=len(tuned.predictions),
        eval_digest=rows.digest,
        form=form,
        intervals=_intervals(tuned.scores),
        base={name: round(value, DIGITS) for name, value in base.metrics.items() if math.isfinite(value)},
        gains=_gains(tuned.scores, base.scores),
        checks=checks,
        samples=_samples(tuned.predictions, base.predictions),
    )
    return Evaluated(metrics, report, tuned.predictions, tuned.scores, base.predictions, base.scores)


@dataclass(frozen=True, slots=True)
class _Measured:
    metrics: dict[str, float]
    predictions: tuple[Prediction, ...] = ()
    scores: RowScores | None = None


def _measure(settings: Settings, model: Any, rows: EvalRows) -> _Measured:
    metrics = losses(model, rows.rows) if rows.rows else {}
    if not settings.metrics:
        return _Measured(metrics)
    predictions = predict(model, rows.tokenizer, rows.rows, rows.stops, settings.max_tokens)
    if not predictions:
        raise SpecInvalid("no eval row has a prompt that can be asked", "Drop evaluation.metrics.")
    scores = score(predictions, settings.metrics, rows.digest, own=settings.own, databases=settings.databases)
    return _Measured({**metrics, **means(scores)}, tuple(predictions), scores)


def _of_base(settings: Settings, artifact: Artifact, served: Served, rows: EvalRows, hardware: Hardware) -> _Measured:
    if served.form == "full":
        return _measure(settings, load_base(artifact, hardware).model, rows)
    with served.as_base() as base:
        return _measure(settings, base, rows)


def _intervals(scores: RowScores | None) -> dict[str, Interval]:
    if scores is None:
        return {}
    return {name: _interval(interval(values, _seed(scores))) for name, values in sorted(scores.metrics.items())}


def _gains(scores: RowScores | None, base: RowScores | None) -> dict[str, Compared]:
    if scores is None or base is None:
        return {}
    found = {}
    for name, values in sorted(scores.metrics.items()):
        gain, around = paired(values, base.metrics[name], _seed(scores))
        found[name] = Compared(gain=round(gain, DIGITS), interval=_interval(around))
    return found


def _interval(around: tuple[float, float]) -> Interval:
    return Interval(low=round(around[0], DIGITS), high=round(around[1], DIGITS))


def _seed(scores: RowScores) -> int:
    return int(scores.eval_digest[:8] or "0", 16)


def _checks(metrics: Mapping[str, float]) -> dict[str, Check]:
    if STOPPED not in metrics:
        return {}
    share = metrics[STOPPED]
    words = f"{share:.1%} of the answers ended by themselves; at least {LEAST_STOPPED:.0%} must"
    return {STOPPED: Check(passed=share >= LEAST_STOPPED, words=words)}


def _samples(predictions: Sequence[Prediction], base: Sequence[Prediction]) -> tuple[Sample, ...]:
    """Evenly spread over the rows, so that a file that is sorted by kind shows more than one kind."""
    count = min(SAMPLES, len(predictions))
    chosen = [index * len(predictions) // count for index in range(count)]
    return tuple(
        Sample(
            row=predictions[index].row,
            prompt=predictions[index].prompt,
            expected=predictions[index].expected,
            answer=predictions[index].answer,
            stopped=predictions[index].stopped,
            base=base[index].answer if base else None,
        )
        for index in chosen
    )
