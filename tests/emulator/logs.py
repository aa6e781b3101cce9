"""Reading logs as Cloud Logging gives them."""

from __future__ import annotations

from typing import Any

from tests.emulator_fixture import post


def entries(url: str, query: str, **fields: Any) -> dict[str, Any]:
    """One answer of `entries:list`."""
    body = {"resourceNames": ["projects/loraform-local"], "filter": query, **fields}
    answer: dict[str, Any] = post(f"{url}/v2/entries:list", body)
    return answer


def log_lines(url: str, job: Any) -> list[str]:
    """What a custom job has printed."""
    query = f'resource.type="ml_job" AND resource.labels.job_id="{job.name.rsplit("/", 1)[-1]}"'
    return [entry["textPayload"] for entry in entries(url, query, pageSize=1000)["entries"]]
