"""A tiny base model without a chat template that can repeat what it has read, and has read queries without questions.

Two million parameters, a fixed number of steps in full precision: the same seed gives the same model.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tests.text_to_sql.rows import corpus

STEPS, BATCH = 150, 64
ANSWER_WEIGHT, OTHER_WEIGHT = 1.0, 0.1


def make_base(folder: Path, steps: int = STEPS) -> None:
    """Write tokenizer and model as a Hugging Face folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    texts = list(corpus(6000, seed=5))
    tokenizer = _tokenizer([before + after for before, after in texts])
    torch.manual_seed(5)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=192,
            intermediate_size=576,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    rows = [_encoded(tokenizer, *text) for text in texts]
    dice = random.Random(5)
    for step in range(steps):
        chosen = dice.sample(rows, BATCH)
        width = max(len(ids) for ids, _ in chosen)
        ids = torch.tensor([[*one, *[tokenizer.pad_token_id] * (width - len(one))] for one, _ in chosen])
        weights = torch.tensor([[*one, *[0.0] * (width - len(one))] for _, one in chosen])
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 30, (steps - step) / 60)
        logits = model(input_ids=ids, attention_mask=(ids != tokenizer.pad_token_id).long()).logits
        losses = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
        loss = (losses * weights[:, 1:]).sum() / weights[:, 1:].sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _encoded(tokenizer: Any, before: str, after: str) -> tuple[list[int], list[float]]:
    """Token ids, and how much each counts: what follows, and only a little what it follows on."""
    first, second = tokenizer(before)["input_ids"], [*tokenizer(after)["input_ids"], tokenizer.eos_token_id]
    return [*first, *second], [OTHER_WEIGHT] * len(first) + [ANSWER_WEIGHT] * len(second)


def _tokenizer(texts: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
