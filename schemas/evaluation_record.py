"""The evaluation record: what a trained model scored when it was evaluated by itself, not at the end of its training.

`<bucket>/loraform/<fleet>/evaluations/<identity>.json`, written last by the evaluation's job. An evaluation in the
training job has no record of its own: the run record names it (`RunRecord.evaluation`).
"""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.run_record import DataRead


class EvaluationRecord(BaseModel):
    """One finished evaluation. Times are RFC 3339 in UTC."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: Literal[1] = 1
    fleet: str
    experiment: str
    identity: str
    attempt: int
    job: str = ""
    training: str = Field(description="Identity of the training whose artifact was evaluated.")
    artifact_uri: str
    artifact_digest: str = Field(description="Of the artifact that was evaluated: another one makes this record void.")
    metrics: dict[str, float] = Field(default_factory=dict)
    eval_digest: str = Field("", description="sha256 over the rows, as in a run record.")
    eval_rows: int = 0
    scores_uri: str = Field("", description="The object with the scores per row; empty where there are none.")
    data: tuple[DataRead, ...] = ()
    started: str = ""
    finished: str = ""
    commit: str = ""
    plan: str = ""


def metadata_of(record: EvaluationRecord) -> dict[str, str]:
    """The custom metadata of the record's object: strings only, all that a plan needs."""
    return {
        "experiment": record.experiment,
        "attempt": str(record.attempt),
        "job": record.job,
        "training": record.training,
        "artifact_uri": record.artifact_uri,
        "artifact_digest": record.artifact_digest,
        "metrics": json.dumps(record.metrics, sort_keys=True),
        "eval_digest": record.eval_digest,
        "eval_rows": str(record.eval_rows),
        "scores_uri": record.scores_uri,
    }
