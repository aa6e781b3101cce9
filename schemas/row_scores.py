"""`scores.json` beside an artifact: what each evaluation row scored, for gates that ask for a confidence.

The trainer writes it; the reconciler reads it only where a gate judges by it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class RowScores(BaseModel):
    """One score per row for each metric, all as long as `rows`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: Literal[1] = 1
    eval_digest: str = Field(description="Of the evaluation rows, as the run record has it.")
    rows: tuple[int, ...] = Field(description="Which evaluation rows these are, from 0: those with an answer to give.")
    metrics: dict[str, tuple[float, ...]] = Field(description="By the name that a gate uses.")
