"""The block `adapter`: peft's `LoraConfig`, and `method`, which is ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, cast

from pydantic_core import CoreSchema, core_schema

from schemas.effects import DeclaredField, Effect, Json
from schemas.keys import Key, Keys

Method = Literal["lora", "qlora", "full"]
METHODS: tuple[Method, ...] = ("lora", "qlora", "full")

_HELP = "lora, qlora (on a base quantised to NF4 with double quantisation), or full fine-tuning"


class Adapter(Keys):
    """The peft keys that the manifest gives, as a mapping; the method, as an attribute."""

    __slots__ = ("_method",)
    block: ClassVar[str] = "adapter"
    own: ClassVar[Mapping[str, tuple[CoreSchema, Key]]] = {
        "method": (
            core_schema.literal_schema(list(METHODS)),
            Key("str", "lora", Effect.RETRAIN, _HELP, METHODS),
        )
    }

    def __init__(self, given: Mapping[str, Json] | None = None) -> None:
        super().__init__(given)
        self._method = cast("Method | None", self.given.pop("method", None))

    @property
    def method(self) -> Method:
        """How the model is tuned; `lora` where the manifest does not say."""
        return self._method or "lora"

    def leaves(self) -> Mapping[str, DeclaredField]:
        """The given keys, `method` among them."""
        method = {} if self._method is None else {"method": DeclaredField(self._method, "lora", Effect.RETRAIN)}
        return {**method, **super().leaves()}
