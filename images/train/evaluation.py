"""Metrics that need generation: the tuned model answers the eval prompts greedily, and the answers are compared.

Runs after training on the model in memory. `exact_match` compares stripped texts; `rouge_l` is rouge_score's F-measure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from images.train.failures import SpecInvalid
from images.train.masks import Encoded
from schemas.gate import ALWAYS, STOPPED
from schemas.row_scores import RowScores

BATCH = 64
DIGITS = 6
"""Decimal places of a metric and of a row's score."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer. `stopped` tells whether the model ended it by itself."""

    prompt: str
    expected: str
    answer: str
    stopped: bool
    row: int = 0
    """Which evaluation row it answers, from 0."""


def known_metrics(names: Sequence[str], eval_rows: bool, form: str) -> tuple[str, ...]:
    """Those of `names` that need generation; raises `SpecInvalid` for one that nobody can compute."""
    wanted = tuple(name for name in names if name not in ALWAYS)
    for name in wanted:
        if name not in _SCORES:
            raise SpecInvalid(
                f"evaluation metric {name!r} is not known",
                f"It can be one of {', '.join(sorted([*ALWAYS, *_SCORES]))}.",
            )
    if wanted and not eval_rows:
        raise SpecInvalid(
            f"evaluation metric {wanted[0]} needs eval rows", "Name a file in data.eval, or give data.eval_fraction."
        )
    if wanted and form == "text":
        raise SpecInvalid(f"evaluation metric {wanted[0]} needs questions and answers", "Plain text has only a loss.")
    return wanted


def predict(
    model: Any, tokenizer: Any, rows: Sequence[Encoded], stops: Sequence[int], max_new_tokens: int | None
) -> list[Prediction]:
    """Greedy answers to all rows that have a prompt, in batches of similar length, in the order of `rows`."""
    import torch

    asked = [index for index, row in enumerate(rows) if row.prompt]
    longest = max((len(row.input_ids) - row.prompt for row in rows), default=0)
    limit = max_new_tokens or 2 * longest + 16
    answers: dict[int, Prediction] = {}
    model.eval()
    by_length = sorted(asked, key=lambda index: rows[index].prompt)
    for start in range(0, len(by_length), BATCH):
        chosen = by_length[start : start + BATCH]
        prompts = [list(rows[index].input_ids[: rows[index].prompt]) for index in chosen]
        width = max(map(len, prompts))
        ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(p)) + p for p in prompts], device=model.device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=model.device)
        with torch.inference_mode():
            out = model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=limit,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                eos_token_id=list(stops) or None,
                pad_token_id=tokenizer.pad_token_id,
                use_cache=True,
            )[:, width:].tolist()
        for index, prompt, tokens in zip(chosen, prompts, out, strict=True):
            end = next((at for at, token in enumerate(tokens) if token in stops), None)
            answers[index] = Prediction(
                prompt=tokenizer.decode(prompt),
                expected=rows[index].answer,
                answer=tokenizer.decode(tokens[:end], skip_special_tokens=True),
                stopped=end is not None,
                row=index,
            )
    return [answers[index] for index in asked]


def score(predictions: Sequence[Prediction], metrics: Sequence[str], digest: str) -> RowScores:
    """Each of `metrics` for each of `predictions`, beside `stopped`: 1 for an answer that ended by itself.

    `digest` is that of the evaluation rows (`rows_digest`).
    """
    scores = {name: _SCORES[name](predictions) for name in metrics}
    scores[STOPPED] = [float(p.stopped) for p in predictions]
    return RowScores(
        eval_digest=digest,
        rows=tuple(p.row for p in predictions),
        metrics={name: tuple(round(value, DIGITS) for value in values) for name, values in scores.items()},
    )


def means(scores: RowScores) -> dict[str, float]:
    """Each metric as the mean over the rows."""
    return {name: _mean(values) for name, values in scores.metrics.items()}


def _exact_match(predictions: Sequence[Prediction]) -> list[float]:
    return [float(p.answer.strip() == p.expected.strip()) for p in predictions]


def _rouge_l(predictions: Sequence[Prediction]) -> list[float]:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    return [float(scorer.score(p.expected, p.answer)["rougeL"].fmeasure) for p in predictions]


_SCORES: Mapping[str, Callable[[Sequence[Prediction]], list[float]]] = {
    "exact_match": _exact_match,
    "rouge_l": _rouge_l,
}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
