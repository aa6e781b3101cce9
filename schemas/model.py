"""The block `model`: which base model is tuned, and how it is read."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.effects import Effect
from schemas.primitives import Block, BucketUri, Name, SecretVersion


class Model(Block):
    """The base model."""

    base: Annotated[str, Effect.RETRAIN] = Field(
        min_length=1, description="A hub id (org/name), a gs:// folder, or a folder of the repository (./models/tiny)."
    )
    revision: Annotated[str | None, Effect.RETRAIN] = Field(
        None, min_length=1, description="The 40-hex commit of a hub id; `loraform pin` writes it."
    )
    token_secret: Annotated[SecretVersion | None, Effect.RUN] = Field(
        None, description="projects/P/secrets/S/versions/V: the hub token of a gated base, read inside the container."
    )
    mirror: Annotated[BucketUri | None, Effect.RUN] = Field(
        None, description="A gs:// folder that keeps a copy of the base, made once, pinned by the revision."
    )
    tokenizer: Annotated[str | None, Effect.RETRAIN] = Field(None, description="Another tokenizer than the base's own.")
    chat_template: Annotated[str | None, Effect.RETRAIN] = Field(
        None, description="A jinja2 file of the repository, or the template itself, in place of the base's own."
    )
    attn_implementation: Annotated[str | None, Effect.RETRAIN] = Field(
        None, description="eager, sdpa, flash_attention_2, ..."
    )
    trust_remote_code: Annotated[bool, Effect.RETRAIN] = Field(
        False, description="Run code that comes with the base; the policy must allow it too."
    )


class TunedModel(Model):
    """What an experiment tunes: the base, or what another experiment has made of it."""

    from_: Annotated[Name | None, Effect.RETRAIN] = Field(
        None,
        alias="from",
        description="An experiment of this repository: the training goes on from its adapter, on the same base.",
    )
