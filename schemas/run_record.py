"""The run record: the object in the bucket that says "trained".

`<bucket>/loraform/<fleet>/runs/<identity>.json`, written last by the trainer with generation-match 0. What a plan
needs is repeated in the object's custom metadata (`metadata_of`), so that one paged listing returns it for all runs.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class DataRead(_Lenient):
    """One object that the run read, as it stood then."""

    uri: str
    generation: int | None = None
    crc32c: str | None = None
    rows: int


class Counts(_Lenient):
    """The size of the run."""

    train_rows: int
    eval_rows: int = 0
    train_tokens: int = 0
    effective_batch: int = 0
    optimizer_steps: int = 0
    left_out: dict[str, int] = Field(default_factory=dict, description="Rows that were not used, by reason.")


class RunRecord(_Lenient):
    """One finished training run. Times are RFC 3339 in UTC, durations seconds."""

    version: Literal[1] = 1
    fleet: str
    experiment: str
    identity: str
    attempt: int
    method: str
    job: str = Field("", description="CLOUD_ML_JOB_ID or the resource name of the job.")
    artifact_uri: str = Field(description="gs:// folder with the adapter (or the full model) and tokenizer.")
    artifact_digest: str = Field(description="sha256 over tensors and canonical config.")
    base: str
    revision: str | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    eval_digest: str = Field(
        "",
        description="sha256 over the rows that the metrics were measured on, in their order.",
    )
    evaluation: str = Field("", description="Identity of the evaluation that `metrics` are, where one was wanted.")
    data: tuple[DataRead, ...] = ()
    counts: Counts
    versions: dict[str, str] = Field(default_factory=dict)
    started: str = ""
    finished: str = ""
    train_seconds: float = 0.0
    commit: str = ""
    plan: str = ""
    strategy: str = Field("", description="On which kind of capacity it ran, where the manifest names several.")
    region: str = Field("", description="Where it ran, where the manifest names several regions.")
    sample: dict[str, str] = Field(default_factory=dict, description="One decoded row and its loss mask.")
    spec: dict[str, Any] = Field(default_factory=dict, description="What the run was told; it names secrets, at most.")
    merged_from: str = Field("", description="The adapter's folder, where an adapter was merged and nothing trained.")
    trial: str = Field("", description="Which trial of a sweep it is.", exclude_if=lambda value: not value)
    chosen: dict[str, bool | int | float | str] = Field(
        default_factory=dict, description="The values that the sweep chose.", exclude_if=lambda value: not value
    )
    pruned: bool = False


def metadata_of(record: RunRecord) -> dict[str, str]:
    """The custom metadata of the record's object: strings only, a few hundred bytes."""
    return {
        "experiment": record.experiment,
        "attempt": str(record.attempt),
        "job": record.job,
        "artifact_uri": record.artifact_uri,
        "artifact_digest": record.artifact_digest,
        "metrics": json.dumps(record.metrics, sort_keys=True),
        "eval_digest": record.eval_digest,
        "eval_rows": str(record.counts.eval_rows),
        "pruned": "true" if record.pruned else "false",
        **({"merged_from": record.merged_from} if record.merged_from else {}),
        **({"evaluation": record.evaluation} if record.evaluation else {}),
    }
