"""Multimodal bases: an adapter is for the language model alone, unless the experiment names what it is not for."""

from __future__ import annotations

import re
from typing import Any


def leave_towers_alone(model: Any, lora_config: Any) -> None:
    """Keep the adapter out of everything beside the language model: vision and audio towers, and what joins them."""
    if lora_config.exclude_modules is not None or not is_wrapper(model):
        return
    decoder = model.get_decoder()
    prefix = next((name for name, module in model.named_modules() if module is decoder), "")
    if prefix:
        lora_config.exclude_modules = rf"(?!{re.escape(prefix)}\.).*"


def is_wrapper(model: Any) -> bool:
    """Whether there is a model of something else than text around the language model."""
    return any(getattr(model.config, f"{kind}_config", None) is not None for kind in ("vision", "audio"))
