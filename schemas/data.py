"""The block `data`: the rows that are learnt from, and those that judge."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.effects import Effect
from schemas.primitives import Block, Count, Positive, Tuple

Format = Literal["messages", "prompt_completion", "instruction", "text", "input_output", "chat", "generate_content"]
MAX_BAD_ROWS = 100

_FORMAT = (
    "The shape of a row. messages: OpenAI's turns, with tools. prompt_completion: two texts, or two lists of turns. "
    "instruction: instruction, input, output. text: plain text. Google's: input_output (input_text, output_text), "
    "chat (messages by author, with a context), generate_content (contents, systemInstruction). By the file's ending: "
    "JSON lines, .json (an array), .csv or .parquet. `*` in a path or address names several files."
)


class Mixed(Block):
    """Rows beside `data.train`. A weight of 2 is every row twice, one of 0.5 half of the rows."""

    rows: str = Field(min_length=1, description="Where they are, as in `data.train`.")
    weight: float = Field(1.0, gt=0, le=100, description="How often a row is learnt from in one epoch.")


class Data(Block):
    """Where the rows come from. A `gs://` URI may carry `#<generation>`: `loraform pin` writes it."""

    train: Annotated[str, Effect.RETRAIN] = Field(
        min_length=1,
        description="A gs:// object, a file of the repository, or hf://datasets/ORG/NAME@COMMIT/FILE on a hub.",
    )
    mix: Annotated[Tuple[Mixed], Effect.RETRAIN] = Field((), description="More training rows, each with a weight.")
    eval: Annotated[str | None, Effect.EVALUATE] = Field(
        None,
        min_length=1,
        description="Held-out rows. Another set trains nothing anew, unless the best checkpoint is chosen by it.",
    )
    eval_fraction: Annotated[float | None, Effect.RETRAIN] = Field(
        None,
        gt=0,
        lt=1,
        description="Hold about so much of the training rows back as eval rows, in place of `eval`. Which ones follows "
        "from a row itself: equal rows stand on one side, and further rows move none.",
    )
    eval_seed: Annotated[Count, Effect.RETRAIN] = Field(0, description="`eval_fraction`: another seed, other rows.")
    format: Annotated[Format, Effect.RETRAIN] = Field("messages", description=_FORMAT)
    template: Annotated[str | None, Effect.RETRAIN] = Field(
        None,
        description="A jinja2 file of the repository, in place of `format`: from a record, whatever its fields, to the "
        "blocks user and assistant (and system), or prompt and completion, or messages (a JSON list of turns).",
    )
    default_context: Annotated[str | None, Effect.RETRAIN] = Field(
        None, min_length=1, description="`format: chat`: the context of rows that have none of their own."
    )
    on_bad_row: Annotated[Literal["fail", "skip"], Effect.RETRAIN] = Field(
        "fail", description="What a row that cannot be trained on does: end the run, or be left out and reported."
    )
    max_bad_rows: Annotated[Count, Effect.RUN] = Field(
        MAX_BAD_ROWS, description="`on_bad_row: skip` ends the run nevertheless when more rows are bad, in both files."
    )
    on_long_row: Annotated[Literal["fail", "drop", "truncate"] | None, Effect.RETRAIN] = Field(
        None,
        description="What a row of more than `training.max_length` tokens does: end the run (when left out, unless "
        "`training.truncation_mode` is given), be left out and reported, or lose its end.",
    )
    deduplicate: Annotated[bool, Effect.RETRAIN] = Field(
        False, description="Learn from a row once, however often it stands in the training rows."
    )
    max_rows: Annotated[Positive | None, Effect.RETRAIN] = Field(
        None, description="Learn from at most so many rows, drawn with `training.seed`."
    )

    @property
    def judged(self) -> bool:
        """Whether there are rows to evaluate on."""
        return self.eval is not None or self.eval_fraction is not None
