"""What the model answers to the evaluation rows, greedily, and what it loses on their answers.

Decides nothing about how good that is (`scores.py`), nor in which form the model is loaded (`served.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from images.train.masks import IGNORED, Encoded

BATCH = 64
LOGIT_BYTES = 1 << 30
"""Of the logits of one batch: what decides how many rows are looked at together."""
LARGEST_LOSS = 700.0
"""The perplexity of a larger one is beyond a float, and of no use to anybody."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer. `stopped` tells whether the model ended it by itself."""

    prompt: str
    expected: str
    answer: str
    stopped: bool
    row: int = 0
    """Which evaluation row it answers, from 0."""


def predict(
    model: Any, tokenizer: Any, rows: Sequence[Encoded], stops: Sequence[int], max_new_tokens: int | None
) -> list[Prediction]:
    """Greedy answers to all rows that have a prompt, in batches of similar length, in the order of `rows`.

    Without `max_new_tokens` an answer may be twice as long as the longest expected one, and 16 tokens.
    """
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


def losses(model: Any, rows: Sequence[Encoded]) -> dict[str, float]:
    """`eval_loss` (nats, the mean over all learnt tokens of all rows), its `perplexity`, and the share of those tokens
    that the model ranks first. NaN where the model's numbers are none.
    """
    import torch
    from torch.nn.functional import cross_entropy

    lost, right, counted = 0.0, 0, 0
    model.eval()
    by_length = sorted(rows, key=lambda row: len(row.input_ids))
    vocabulary = int(model.get_output_embeddings().weight.shape[0])
    at = 0
    while at < len(by_length):
        widest = len(by_length[min(at + BATCH, len(by_length)) - 1].input_ids)
        size = max(1, min(BATCH, LOGIT_BYTES // (4 * vocabulary * widest)))
        chosen = by_length[at : at + size]
        at += size
        width = max(len(row.input_ids) for row in chosen)
        ids = torch.tensor([[*row.input_ids, *[0] * (width - len(row.input_ids))] for row in chosen])
        labels = torch.tensor([[*row.labels, *[IGNORED] * (width - len(row.labels))] for row in chosen])
        mask = torch.tensor([[1] * len(row.input_ids) + [0] * (width - len(row.input_ids)) for row in chosen])
        with torch.inference_mode():
            logits = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device)).logits
        wanted = labels[:, 1:].reshape(-1).to(logits.device)
        kept = wanted != IGNORED
        logits = logits[:, :-1].reshape(-1, logits.shape[-1])[kept].float()
        lost += float(cross_entropy(logits, wanted[kept], reduction="sum").double())
        right += int((logits.argmax(-1) == wanted[kept]).sum())
        counted += int(kept.sum())
    loss = lost / counted if counted else math.nan
    return {
        "eval_loss": loss,
        "eval_mean_token_accuracy": right / counted if counted else math.nan,
        "perplexity": math.exp(min(loss, LARGEST_LOSS)),
    }
