"""The block `data`: the rows that are learnt from, and those that judge."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.effects import Effect
from schemas.primitives import Block

Format = Literal["messages", "prompt_completion", "instruction", "text"]


class Data(Block):
    """Where the rows come from. A `gs://` URI may carry `#<generation>`: `loraform pin` writes it."""

    train: Annotated[str, Effect.RETRAIN] = Field(
        min_length=1, description="A gs:// object or a file of the repository."
    )
    eval: Annotated[str | None, Effect.EVALUATE] = Field(
        None,
        min_length=1,
        description="Held-out rows. Another set trains nothing anew, unless the best checkpoint is chosen by it.",
    )
    format: Annotated[Format, Effect.RETRAIN] = Field("messages", description="The shape of a row.")
    template: Annotated[str | None, Effect.RETRAIN] = Field(
        None, description="A jinja2 file of the repository that turns a record into messages."
    )
