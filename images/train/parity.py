"""Golden answers: token ids and log-probabilities of a few rows, by the model that was trained.

Whoever serves the artifact can ask for the same tokens and compare: other prompt ids mean another template or
tokenizer, other log-probabilities another base, revision or adapter.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from images.train.masks import Encoded

FILE = "parity.json"
ROWS = 8
LONGEST = 1024
"""Longer rows are no use: a comparison should be quick."""
DIGITS = 5


def write_parity(folder: Path, model: Any, rows: Sequence[Encoded]) -> None:
    """Write `parity.json`: for each row `prompt_ids`, `answer_ids` and the natural `logprobs` of the latter."""
    chosen = [row for row in rows if row.prompt and len(row.input_ids) <= LONGEST][:ROWS]
    device = next(model.parameters()).device
    config = model.config
    body = {
        "version": 1,
        "dtype": str(config.dtype).removeprefix("torch."),
        "quantized": getattr(config, "quantization_config", None) is not None,
        "rows": [_golden(model, row, device) for row in chosen],
    }
    (folder / FILE).write_text(json.dumps(body, sort_keys=True) + "\n", encoding="utf-8")


def _golden(model: Any, row: Encoded, device: Any) -> dict[str, Any]:
    import torch

    training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([row.input_ids], device=device), use_cache=False).logits[0].float()
    model.train(training)
    answer = list(row.input_ids[row.prompt :])
    said = torch.log_softmax(logits[row.prompt - 1 : -1], dim=-1)
    picked = said.gather(1, torch.tensor(answer, device=device)[:, None])[:, 0].tolist()
    return {
        "prompt_ids": list(row.input_ids[: row.prompt]),
        "answer_ids": answer,
        "logprobs": [round(value, DIGITS) for value in picked],
    }
