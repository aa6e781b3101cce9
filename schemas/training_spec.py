"""The contract between the reconciler and the training image: what one custom job is told, and nothing else.

The reconciler passes it inline as `--spec <canonical JSON>`. It names secrets, it never holds one.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.data import MAX_BAD_ROWS, Format


def _absent(value: object) -> bool:
    return value is None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSource(_Strict):
    """Where the base model comes from."""

    base: str = Field(description="Hub id, gs:// folder, or a local folder.")
    revision: str | None = Field(None, description="40-hex commit of a hub id.")
    token_secret: str | None = Field(None, description="projects/P/secrets/S/versions/V, read inside the container.")
    mirror: str | None = Field(None, description="gs:// folder that keeps a copy of the base, pinned by revision.")
    tokenizer: str | None = Field(None, description="Another tokenizer than the base's: hub id, gs:// or local folder.")
    chat_template: str | None = Field(None, description="The text of a jinja2 chat template that replaces the base's.")
    attn_implementation: str | None = None
    trust_remote_code: bool = False


class MixedRows(_Strict):
    """Training rows beside the first ones, each taken `weight` times (a fraction: so many of the rows)."""

    rows: str
    weight: float = 1.0


class DataSource(_Strict):
    """Where the rows come from. A `gs://` URI may carry `#<generation>`; that generation is read.

    The keys are the manifest's (`schemas/data.py`); those with `exclude_if` are only written when given.
    """

    train: str
    mix: tuple[MixedRows, ...] = Field((), exclude_if=lambda value: not value)
    eval: str | None = None
    eval_fraction: float | None = Field(None, exclude_if=_absent)
    eval_seed: int = Field(0, exclude_if=lambda value: value == 0)
    format: Format = "messages"
    template: str | None = Field(None, exclude_if=_absent, description="The text of a jinja2 file, in place of format.")
    default_context: str | None = Field(None, exclude_if=_absent)
    on_bad_row: Literal["fail", "skip"] = Field("fail", exclude_if=lambda value: value == "fail")
    max_bad_rows: int = Field(MAX_BAD_ROWS, exclude_if=lambda value: value == MAX_BAD_ROWS)
    on_long_row: Literal["fail", "drop", "truncate"] | None = Field(None, exclude_if=_absent)
    deduplicate: bool = Field(False, exclude_if=lambda value: not value)
    max_rows: int | None = Field(None, exclude_if=_absent)

    @property
    def judged(self) -> bool:
        """Whether there are rows to evaluate on."""
        return self.eval is not None or self.eval_fraction is not None


class SweepOrder(_Strict):
    """This spec is one trial of a sweep, and the values come as arguments. `records` is the folder of their records."""

    metric: str
    records: str
    keys: tuple[str, ...] = Field(description="What is tried: `training.learning_rate`, ...")
    fraction: float
    seed: int = 0


class Scoring(_Strict):
    """How the evaluation goes beyond the named metrics; the keys are the manifest's (`schemas/evaluation.py`)."""

    max_samples: int | None = Field(None, exclude_if=_absent)
    own: dict[str, str] = Field(default_factory=dict, exclude_if=lambda value: not value)
    sql_field: str | None = Field(None, exclude_if=_absent)
    sql_script: str | None = Field(None, exclude_if=_absent, description="Where the script lies.")
    base: bool = Field(True, exclude_if=lambda value: value)
    harness: tuple[str, ...] = Field((), exclude_if=lambda value: not value)
    form: Literal["adapter", "merged"] = Field("adapter", exclude_if=lambda value: value == "adapter")


class Output(_Strict):
    """Where the run leaves its traces (gs:// URIs)."""

    record: str = Field(description="The run record, written last with generation-match 0.")
    lock: str = Field(description="Held while training: a second job of the same identity ends as a duplicate.")
    checkpoints: str | None = Field(
        None, description="Folder for the artifact after each epoch but the last, at most nine.", exclude_if=_absent
    )
    resume: str | None = Field(
        None, exclude_if=_absent, description="Folder for what an interrupted run goes on from; empty once it is done."
    )
    resume_every: float = Field(
        600.0, ge=0, exclude_if=lambda value: value == 600.0, description="Seconds between such checkpoints."
    )
    artifact: str | None = Field(
        None, exclude_if=_absent, description="Where the artifact goes, if not to AIP_MODEL_DIR: the job is elsewhere."
    )


class Provenance(_Strict):
    """Who asked for this run. Recorded, never hashed."""

    commit: str = ""
    plan: str = ""
    manifest: str = ""
    strategy: str = Field("", exclude_if=lambda value: not value)
    region: str = Field("", exclude_if=lambda value: not value)


class EvaluationOrder(_Strict):
    """Which evaluation is wanted: as a part of the training, or by itself, of an artifact that exists."""

    identity: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the evaluation; the run record names it.")
    record: str | None = Field(
        None,
        exclude_if=_absent,
        description="Given, nothing is trained: the artifact that `output.record` names is evaluated, and the "
        "evaluation record goes here.",
    )


class TrainingSpec(_Strict):
    """Everything that the trainer reads.

    `adapter` holds peft `LoraConfig` keys beside `method`; `quantization` transformers `BitsAndBytesConfig` keys;
    `training` trl `SFTConfig` keys. Only keys that the manifest gives are present.
    """

    version: Literal[1] = 1
    fleet: str
    experiment: str
    identity: str = Field(pattern=r"^[0-9a-f]{64}$")
    attempt: int = Field(1, ge=1)
    recipe: int = 1
    method: Literal["lora", "qlora", "full"] = "lora"
    model: ModelSource
    start_from: str | None = Field(
        None, exclude_if=_absent, description="The run record of the training whose adapter this one goes on from."
    )
    data: DataSource
    adapter: dict[str, Any] = Field(default_factory=dict)
    quantization: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    metrics: tuple[str, ...] = Field((), description="Evaluation metrics beyond the loss, by name.")
    generation: dict[str, Any] = Field(default_factory=dict, description="SamplingParams for evaluation generations.")
    sweep: SweepOrder | None = Field(None, exclude_if=_absent)
    scoring: Scoring = Field(Scoring(), exclude_if=lambda value: value == Scoring())
    evaluation: EvaluationOrder | None = Field(None, exclude_if=_absent)
    merge: str | None = Field(
        None, exclude_if=_absent, description="An adapter's folder: it is merged into the base, and nothing is trained."
    )
    output: Output
    provenance: Provenance = Provenance()
