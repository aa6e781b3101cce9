"""The table of quotas that the user gives with `--quotas FILE`. An empty table allows all; who is refused is decided in
`quota_checks`.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

PREFIX = "aiplatform.googleapis.com/"
REQUESTS = (
    "resource_management_requests",
    "job_submission_requests",
    "online_prediction_requests",
)


@dataclass(frozen=True, slots=True)
class Quota:
    """One row: `metric` without Google's prefix, a pattern of regions, and the limit (a minute, or at a time)."""

    metric: str
    region: str
    limit: int


@dataclass(slots=True)
class Quotas:
    """The table, and when requests came in the last minute, by (project, region, metric)."""

    table: tuple[Quota, ...] = ()
    seen: dict[tuple[str, str, str], deque[float]] = field(default_factory=dict)

    def limit(self, metric: str, region: str) -> int | None:
        """The first row that fits; None when there is no limit."""
        return next((q.limit for q in self.table if q.metric == metric and fnmatchcase(region, q.region)), None)


def read_quotas(path: Path) -> tuple[Quota, ...]:
    """`[{"metric": "custom_model_training_nvidia_l4_gpus", "region": "us-central1", "limit": 1}, ...]`.

    `region` is a pattern and may be left out. Raises `ValueError` with a way out.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"--quotas {path}: {error.strerror}; give a JSON file") from None
    except ValueError as error:
        raise ValueError(f"--quotas {path} is not JSON: {error}") from None
    if not isinstance(rows, list):
        raise ValueError(f'--quotas {path} must be a list of {{"metric", "region", "limit"}}')
    return tuple(_row(row, path) for row in rows)


def _row(row: object, path: Path) -> Quota:
    if not isinstance(row, dict) or not {"metric", "limit"} <= set(row) <= {"metric", "region", "limit"}:
        raise ValueError(f'--quotas {path}: {row} must be {{"metric": text, "region": pattern, "limit": number}}')
    metric, region, limit = row["metric"], row.get("region", "*"), row["limit"]
    if not isinstance(metric, str) or not isinstance(region, str) or type(limit) is not int or limit < 0:
        raise ValueError(f"--quotas {path}: {row} needs a text, a pattern and a number from 0 on")
    metric = metric.removeprefix(PREFIX)
    if metric not in REQUESTS and not metric.startswith("custom_model_"):
        raise ValueError(
            f"--quotas {path}: {metric} is none of {', '.join(REQUESTS)}, custom_model_training_nvidia_l4_gpus, "
            "custom_model_training_preemptible_nvidia_l4_gpus, custom_model_serving_nvidia_l4_gpus and the like"
        )
    return Quota(metric, region, limit)
