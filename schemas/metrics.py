"""`metrics.json` beside an artifact: everything that was measured on it, for people and programs.

Gates read the run record, which repeats `metrics`. The JSON Schema is `json/metrics.schema.json`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Interval(_Part):
    """A 95 % bootstrap interval over the rows."""

    low: float
    high: float


class Compared(_Part):
    """The tuned model against its base on the same rows, row by row."""

    gain: float = Field(description="The tuned model's mean minus the base's.")
    interval: Interval


class Check(_Part):
    """Something that must hold of any model, whatever the gates say."""

    passed: bool
    words: str


class Sample(_Part):
    """One answer, kept to be read."""

    row: int
    prompt: str
    expected: str
    answer: str
    stopped: bool = Field(description="The model ended the answer by itself.")
    base: str | None = Field(description="The base's answer; null where it was not asked.")


class Metrics(_Part):
    """The file."""

    version: Literal[1] = 1
    metrics: dict[str, float] = Field(description="By the name that a gate uses.")
    rows: int = Field(description="Evaluation rows.")
    answers: int = Field(description="Those with a prompt, which were answered.")
    eval_digest: str = Field(description="sha256 over the rows, as in the run record.")
    form: str = Field(description="What was measured: adapter, merged, full, or adapter on a quantised base.")
    intervals: dict[str, Interval] = Field(description="Of the metrics with a score per row.")
    base: dict[str, float] = Field(description="The same metrics of the base model; empty where it was not asked.")
    gains: dict[str, Compared] = Field(description="Of the metrics with a score per row.")
    checks: dict[str, Check]
    samples: tuple[Sample, ...] = Field(description="At most ten.")
