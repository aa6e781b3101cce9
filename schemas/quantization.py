"""The block `quantization`: transformers' `BitsAndBytesConfig`, and what `method: qlora` presets of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from schemas.effects import Json
from schemas.keys import Keys

QLORA: Mapping[str, Json] = {
    "load_in_4bit": True,
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_use_double_quant": True,
}
"""What `method: qlora` means where the block says nothing else."""


class Quantization(Keys):
    """The keys that the manifest gives."""

    __slots__ = ()
    block: ClassVar[str] = "quantization"
