"""Makes the tiny base model: a random Llama of two million parameters, warmed up on generic turns.

The number of steps is fixed, and so are the threads: a time limit or another split of the work would give other
weights. It ends knowing the form of a chat, how to read an answer out of the prompt, and when to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

STEPS = 150
BATCH = 64
RISE = 30
PEAK = 2e-3
THREADS = 2
ANSWER_WEIGHT, OTHER_WEIGHT = 1.1, 0.1


def make_model(
    tokenizer: Any, turns: Sequence[tuple[str, str]], seed: int, say: Callable[[str], None], steps: int = STEPS
) -> Any:
    """Train and return a `LlamaForCausalLM` on `turns` of (question, answer)."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(THREADS)
    model = _random_llama(tokenizer)
    rows = [_encode(tokenizer, question, answer) for question, answer in turns]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate)
    model.train()
    for step in range(steps):
        picked = [rows[order[(step * BATCH + i) % len(order)]] for i in range(BATCH)]
        loss = _loss(model, *_pad(picked, tokenizer.pad_token_id))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if (step + 1) % 25 == 0:
            say(f"warm-up step {step + 1}/{STEPS}, loss {loss.item():.3f}")
    return model.eval()


def _random_llama(tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=192,
            intermediate_size=576,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=False,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            dtype="float32",
        )
    )


def _encode(tokenizer: Any, question: str, answer: str) -> tuple[list[int], list[float]]:
    """Token ids of one rendered turn, and what each of them weighs in the loss."""
    asked = [{"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template([*asked, {"role": "assistant", "content": answer}], tokenize=False)
    ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
    before = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    return ids, [OTHER_WEIGHT] * before + [ANSWER_WEIGHT] * (len(ids) - before)


def _pad(rows: Sequence[tuple[list[int], list[float]]], pad: int) -> tuple[Any, Any]:
    import torch

    longest = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in rows])
    weights = torch.tensor([weights + [0.0] * (longest - len(weights)) for _, weights in rows])
    return ids, weights


def _loss(model: Any, ids: Any, weights: Any) -> Any:
    """Weighted cross-entropy. Padding stands on the right, where causal attention needs no mask."""
    import torch

    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    weight = weights[:, 1:].flatten()
    return (each * weight).sum() / weight.sum()


def _rate(step: int) -> float:
    import math

    if step < RISE:
        return (step + 1) / RISE
    return 0.5 * (1 + math.cos(math.pi * (step - RISE) / (STEPS - RISE)))
