"""Tokenizer and base model from a local folder, as training wants them: template, stop tokens, dtype, quantisation.

A chat template that writes the day's date (Llama 3.2) gets one fixed day: else the same rows would be other tokens
tomorrow, and the server would render another text than was learnt.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from images.train.failures import ModelNotFound, SpecInvalid
from images.train.settings import Hardware
from schemas.training_spec import ModelSource

CLOCK = "strftime_now"
"""The name by which a template asks for the day."""

FIXED_DAY = (
    '{%- macro strftime_now(format) -%}{{ {"%Y-%m-%d": "2024-07-26"}.get(format, "26 Jul 2024") }}{%- endmacro -%}\n'
)
"""26 July 2024 is the day that Llama's own template falls back on."""


def load_tokenizer(folder: Path, source: ModelSource, eos_token: str | None = None) -> Any:
    """The fast tokenizer in `folder`, with the spec's chat template and EOS token if it gives them."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=source.trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise ModelNotFound(
            f"{source.tokenizer or source.base} has no tokenizer that transformers can load ({_line(error)})",
            "Check the folder, or name another one in model.tokenizer.",
        ) from error
    if source.chat_template is not None:
        tokenizer.chat_template = source.chat_template
    if isinstance(tokenizer.chat_template, str) and CLOCK in tokenizer.chat_template.replace(FIXED_DAY, ""):
        tokenizer.chat_template = FIXED_DAY + tokenizer.chat_template.removeprefix(FIXED_DAY)
    if eos_token is not None:
        if eos_token not in tokenizer.get_vocab():
            raise SpecInvalid(f"training.eos_token {eos_token!r} is not in the vocabulary", "Name a token that is.")
        tokenizer.eos_token = eos_token
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def has_fixed_day(tokenizer: Any) -> bool:
    """True when the chat template would write another date every day, and was given a fixed one."""
    return isinstance(tokenizer.chat_template, str) and tokenizer.chat_template.startswith(FIXED_DAY)


def stop_ids(folder: Path, tokenizer: Any) -> tuple[int, ...]:
    """The tokens that may end an answer: the tokenizer's EOS and those of the base's generation_config.json."""
    stops = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    try:
        named = json.loads((folder / "generation_config.json").read_text(encoding="utf-8")).get("eos_token_id")
    except (OSError, ValueError):
        named = None
    stops += named if isinstance(named, list) else [named] if isinstance(named, int) else []
    return tuple(dict.fromkeys(stops))


def load_model(folder: Path, source: ModelSource, hardware: Hardware, quantization: Any, *, full: bool) -> Any:
    """The causal language model in `folder`. In full fine-tuning the weights are kept in float32."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    wanted: dict[str, Any] = {"dtype": torch.float32 if full else getattr(torch, hardware.dtype)}
    if quantization is not None:
        local = int(os.environ.get("LOCAL_RANK", "0"))
        wanted |= {"quantization_config": quantization, "device_map": {"": local if not hardware.cpu else "cpu"}}
    if source.attn_implementation is not None:
        wanted["attn_implementation"] = source.attn_implementation
    with refused_to_load(source):
        return AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=source.trust_remote_code, **wanted)


@contextlib.contextmanager
def refused_to_load(source: ModelSource) -> Iterator[None]:
    """What transformers says of a base that it cannot load, as a failure with a remedy."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelNotFound(
            f"{source.base} cannot be loaded as a causal language model ({_line(error)})",
            "Check that it holds config.json and safetensors of an architecture that transformers knows.",
        ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
