"""Rows that stand in one sequence must not see each other: tried on the loaded model before it learns.

Attention is told where a row begins by positions that start again. Most architectures obey, with flash attention or
without; one that does not would learn from mixed rows, and nothing else would tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from images.train.failures import SpecInvalid
from images.train.masks import Encoded

MOST = 64
"""So many tokens of a row are enough to see it."""
NEAR = 0.05
"""Of the spread of the logits: precision is never as coarse, and another context is never as near."""


def refuse_mixed_rows(model: Any, rows: Sequence[Encoded]) -> None:
    """Raise `SpecInvalid` when a row is read differently behind another one than alone."""
    if not rows:
        return
    first = list(rows[0].input_ids[:MOST])
    second = list(rows[-1].input_ids[:MOST])
    alone, behind = _logits(model, [second]), _logits(model, [first, second])
    spread = float(alone.std()) or 1.0
    difference = float((behind[len(first) :] - alone).abs().max()) / spread
    if difference > NEAR:
        raise SpecInvalid(
            f"rows in one sequence see each other in a {type(model).__name__} with this attention",
            "Delete training.packing and training.padding_free, or write model.attn_implementation: flash_attention_2.",
        )


def _logits(model: Any, rows: Sequence[list[int]]) -> Any:
    """Logits of the rows in one sequence, (tokens, vocabulary), in float32."""
    import torch

    device = next(model.parameters()).device
    ids = torch.tensor([[token for row in rows for token in row]], device=device)
    positions = torch.tensor([[place for row in rows for place in range(len(row))]], device=device)
    training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=ids, position_ids=positions, use_cache=False).logits[0].float()
    model.train(training)
    return logits
