"""Cloud Logging, far enough to read what jobs and endpoints print and who changed what: filter, order and pages."""

from __future__ import annotations

import base64
import heapq
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from reconciler.emulator import audit
from reconciler.emulator.wire.errors import ApiError, Json, invalid
from reconciler.emulator.wire.filters import compile_filter
from reconciler.emulator.work.logs import read_lines
from reconciler.emulator.world import Plain, World

DEFAULT_PAGE, LARGEST_PAGE = 50, 1000
_FIELDS = {
    "resource", "timestamp", "severity", "log_name", "text_payload", "json_payload", "labels", "insert_id",
    "receive_timestamp", "proto_payload",
}  # fmt: skip
_SEVERITIES = {"DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"}


def list_entries(world: World, request: Json) -> Plain:
    """`{"resourceNames", "filter", "orderBy", "pageSize", "pageToken"}` -> `{"entries", "nextPageToken"}`.

    A whole page is answered at once; the token stays valid while logs grow.
    """
    unknown = set(request) - {"resourceNames", "filter", "orderBy", "pageSize", "pageToken", "projectIds"}
    if unknown:
        name = min(unknown)
        raise invalid(name, f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
    text = request.get("filter", "")
    order = request.get("orderBy", "") or "timestamp asc"
    size = request.get("pageSize", 0) or DEFAULT_PAGE
    if not isinstance(text, str) or not isinstance(size, int) or size < 0:
        raise invalid("filter", "The filter must be a string and the page size a positive number.")
    if order not in ("timestamp asc", "timestamp desc", "timestamp"):
        raise invalid("order_by", 'order_by must be "timestamp asc" or "timestamp desc".')
    test = compile_filter(text, _FIELDS)
    down = order.endswith("desc")
    after = _read_token(request.get("pageToken", ""))
    size = min(size, LARGEST_PAGE)
    matching = (
        (_place(entry), entry)
        for entry in _entries(world, text)
        if test(entry) and (after is None or (_place(entry) < after if down else _place(entry) > after))
    )
    best = (heapq.nlargest if down else heapq.nsmallest)(size + 1, matching, key=lambda one: one[0])
    answer: Json = {"entries": [entry for _, entry in best[:size]]}
    if len(best) > size:
        answer["nextPageToken"] = base64.urlsafe_b64encode(json.dumps(best[size - 1][0]).encode()).decode()
    return Plain(answer)


METHODS: Mapping[str, Callable[[World, Json], Plain]] = {"LoggingServiceV2.ListLogEntries": list_entries}


def _entries(world: World, text: str) -> Iterator[Json]:
    """All entries, or only those of the job or the endpoint that the filter names."""
    logs = world.settings.folder / "logs"
    for folder, label in (("jobs", "job_id"), ("endpoints", "endpoint_id")):
        named = re.findall(rf'resource\.labels\.{label}\s*=\s*"?([A-Za-z0-9-]+)', text)
        for path in sorted((logs / folder).glob("*/*.log")):
            if not named or path.parent.name in named:
                make = _of_job if folder == "jobs" else _of_endpoint
                yield from make(world, path)
    if "resource.labels." not in text:  # they have neither of the two labels
        settings = world.settings
        yield from (audit.entry(row, settings.project, _moment(row["time"])) for row in audit.rows(settings.folder))


def _of_job(world: World, path: Path) -> Iterator[Json]:
    resource = {"job_id": path.parent.name, "task_name": path.stem, "project_id": world.settings.project}
    for line in read_lines(path, world.clock()):
        yield {
            "insertId": f"{path.stem}-{line.offset:012d}",
            "logName": f"projects/{world.settings.project}/logs/{path.stem}",
            "resource": {"type": "ml_job", "labels": resource},
            "timestamp": _moment(line.time),
            "receiveTimestamp": _moment(line.time),
            **_payload(line.text),
        }


def _of_endpoint(world: World, path: Path) -> Iterator[Json]:
    resource = {"endpoint_id": path.parent.name, "resource_container": world.settings.project}
    deployed, _, replica = path.stem.partition("-")
    for line in read_lines(path, world.clock()):
        yield {
            "insertId": f"{path.stem}-{line.offset:012d}",
            "logName": f"projects/{world.settings.project}/logs/aiplatform.googleapis.com%2Fprediction_container",
            "resource": {"type": "aiplatform.googleapis.com/Endpoint", "labels": resource},
            "labels": {"deployed_model_id": deployed, "replica_id": replica or "0"},
            "timestamp": _moment(line.time),
            "receiveTimestamp": _moment(line.time),
            **_payload(line.text),
        }


def _payload(text: str) -> Json:
    """A line that is a JSON object with a message is taken apart, as the logging agent does it."""
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and isinstance(found.get("message"), str):
            severity = found.get("severity")
            return {"severity": severity if severity in _SEVERITIES else "INFO", "jsonPayload": found}
    return {"severity": "INFO", "textPayload": text}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _place(entry: Json) -> list[str]:
    return [entry["timestamp"], entry["resource"]["type"], entry["insertId"]]


def _read_token(token: object) -> list[str] | None:
    if not token:
        return None
    try:
        place = json.loads(base64.urlsafe_b64decode(str(token)))
    except ValueError:
        place = None
    if not isinstance(place, list) or not all(isinstance(part, str) for part in place):
        raise ApiError("INVALID_ARGUMENT", "The page token is invalid.")
    return place
