"""Records of runs and evaluations, as a listing of the bucket shows them: by the metadata of their objects alone.

What counts of them is decided in `core/evaluations.py` and by the planner.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from reconciler.cloud.storage import Listed
from reconciler.core.evaluations import EVALUATES
from reconciler.core.resources import SHORT, Record

_ALWAYS = ("artifact_uri", "artifact_digest", "job", "experiment")
_OUTPUTS = (*_ALWAYS, EVALUATES, "scores_uri")
"""The keys of the metadata that a record tells as outputs."""


def record_of(listed: Listed) -> Record | None:
    """A record from the metadata of its object, of a run or an evaluation; None for locks and for what is not one."""
    name = listed.name.rsplit("/", 1)[-1]
    metadata = listed.metadata
    if not name.endswith(".json") or "artifact_uri" not in metadata:
        return None
    try:
        metrics = {key: float(value) for key, value in json.loads(metadata.get("metrics") or "{}").items()}
    except (ValueError, TypeError, AttributeError):
        metrics = {}
    outputs = {key: metadata.get(key, "") for key in _OUTPUTS if key in metadata or key in _ALWAYS}
    rows = metadata.get("eval_rows", "")
    return Record(
        name[:SHORT],
        outputs,
        metrics,
        eval_digest=metadata.get("eval_digest", ""),
        eval_rows=int(rows) if rows.isdecimal() else 0,
        pruned=metadata.get("pruned") == "true",
        since=listed.updated,
        seconds=_seconds(metadata),
        of=metadata.get("training", "")[:SHORT],
    )


def _seconds(metadata: Mapping[str, str]) -> float:
    try:
        return float(metadata.get("train_seconds") or 0.0)
    except ValueError:
        return 0.0
