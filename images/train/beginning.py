"""Adapters that begin as a part of their base (PiSSA, OLoRA): how they began is kept, to tell what they learnt.

While such an adapter learns, its base lacks that part. What is written at the end is the difference to the beginning,
an ordinary LoRA of twice the rank: it fits the base that everybody has, also where vLLM serves others beside it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from schemas.methods import splits_base

BEGINNING = "beginning"
"""The folder, beside those of the artifacts of a run."""


def keep_beginning(model: Any, scratch: Path) -> None:
    """Write the untrained adapter of `model` below `scratch`, if it is one that took a part of its base."""
    config = getattr(model, "peft_config", {}).get("default")
    if config is None or not splits_base(config.init_lora_weights):
        return
    folder = scratch / BEGINNING
    model.save_pretrained(folder, save_embedding_layers=False)
    path = folder / "adapter_config.json"
    # peft loads it beside the trained one to compare them: it must not begin anew.
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"init_lora_weights": True}))


def difference(scratch: Path) -> dict[str, Any]:
    """What `save_pretrained` must be told to write the difference; nothing for all other adapters."""
    folder = scratch / BEGINNING
    return {"path_initial_model_for_weight_conversion": str(folder)} if folder.is_dir() else {}


@contextmanager
def quiet() -> Iterator[None]:
    """peft warns that such an adapter goes with no other one, also while the difference is made of the two."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*changes the base weights of the model")
        yield
