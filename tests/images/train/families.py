"""The families of base models that the tests tune: each one's architecture, special tokens and own chat template.

The templates are those that trl keeps, letter by letter, to know a model by; Mistral's is in `templates/`. Weights are
random, everything is a few layers of a few numbers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TEXT = (
    "Where is the red book? On the table. And this one? Under the lamp.\n\nBe brief. [INST] user system assistant\n\n"
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
)
NEWLINES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Llama 3, Qwen and newer tokenizers of Mistral cut text: line breaks stay together, apart from the next word."""


@dataclass(frozen=True, slots=True)
class Family:
    """`end` closes an answer; `eos` is the tokenizer's own end of text, which in some families is another."""

    name: str
    template: str
    architecture: str
    bos: str | None
    eos: str
    end: str
    special: tuple[str, ...] = ()
    thinks: bool = False
    config: dict[str, Any] = field(default_factory=dict)


_LLAMA = ("<|start_header_id|>", "<|end_header_id|>", "<|end_of_text|>", "<|eom_id|>")
_QWEN = ("<|im_start|>", "<|endoftext|>", "<think>", "</think>")
_GEMMA = {"head_dim": 32, "sliding_window": 64, "query_pre_attn_scalar": 32}

FAMILIES = (
    Family("llama3", "llama3", "Llama", "<|begin_of_text|>", "<|eot_id|>", "<|eot_id|>", _LLAMA),
    Family("llama3.1", "llama3_1", "Llama", "<|begin_of_text|>", "<|eot_id|>", "<|eot_id|>", _LLAMA),
    Family("llama3.2", "llama3_2", "Llama", "<|begin_of_text|>", "<|eot_id|>", "<|eot_id|>", _LLAMA),
    Family("mistral", "mistral", "Mistral", "<s>", "</s>", "</s>", ("[INST]", "[/INST]")),
    Family(
        "gemma3",
        "gemma3",
        "Gemma3",
        "<bos>",
        "<eos>",
        "<end_of_turn>",
        ("<start_of_turn>", "<end_of_turn>"),
        config=_GEMMA,
    ),
    Family("gemma4", "gemma4_v5", "", "<bos>", "<eos>", "<turn|>", ("<|turn>", "<turn|>", "<|channel>", "<channel|>")),
    Family("qwen2.5", "qwen2_5", "Qwen2", None, "<|im_end|>", "<|im_end|>", _QWEN[:2]),
    Family("qwen3", "qwen3", "Qwen3", None, "<|im_end|>", "<|im_end|>", _QWEN, True, {"head_dim": 32}),
)
BY_NAME = {family.name: family for family in FAMILIES}
TRAINED = tuple(BY_NAME[name] for name in ("llama3.2", "mistral", "gemma3", "qwen3"))
"""One of each architecture that is trained, merged and served."""


def make_tokenizer(family: Family) -> Any:
    """A byte-level tokenizer of about 400 tokens with the family's special tokens and template."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(NEWLINES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = dict.fromkeys(["<pad>", *([family.bos] if family.bos else []), family.eos, family.end, *family.special])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        [TEXT] * 3,
        trainers.BpeTrainer(
            vocab_size=420, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
        ),
    )
    if family.bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{family.bos} $A", special_tokens=[(family.bos, tokenizer.token_to_id(family.bos))]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=family.bos, eos_token=family.eos, pad_token="<pad>"
    )
    fast.chat_template = _template(family.template)
    return fast


def stops(family: Family, tokenizer: Any) -> tuple[int, ...]:
    """What the family's generation_config.json names as ends."""
    return tuple(dict.fromkeys(map(tokenizer.convert_tokens_to_ids, (family.eos, family.end))))


def make_base(family: Family, folder: Path) -> Path:
    """A random model of the family in `folder`: 2 layers of 64."""
    import torch
    import transformers

    tokenizer = make_tokenizer(family)
    text = "Text" if family.architecture == "Gemma3" else ""
    config = getattr(transformers, f"{family.architecture}{text}Config")(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **family.config,
    )
    torch.manual_seed(1)
    model = getattr(transformers, f"{family.architecture}ForCausalLM")(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    generation = {"eos_token_id": list(stops(family, tokenizer)), "pad_token_id": tokenizer.pad_token_id}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


def _template(name: str) -> str:
    import trl

    own = Path(__file__).parent / "templates" / f"{name}.jinja"
    kept = Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja"
    return (own if own.is_file() else kept).read_text(encoding="utf-8")
