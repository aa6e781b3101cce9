"""Reading the logs of jobs and endpoints from Cloud Logging (`entries:list`), and where a person finds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from reconciler.cloud.errors import from_answer
from reconciler.cloud.retry import with_patience
from reconciler.cloud.vertex import TIMEOUT, Vertex
from reconciler.core.resources import RUNS, LiveResource, Role
from reconciler.core.target import Target, region_of

PAGE = 1000
TAIL = 200
"""Lines of a log that are read to find out why something failed."""


def job_logs(vertex: Vertex, job: str, since: str = "") -> Iterator[tuple[str, str]]:
    """(RFC 3339 timestamp, text) of a custom job (resource name), oldest first, from `since` on (inclusive)."""
    return read_logs(vertex, _of_job(job), since)


def endpoint_logs(vertex: Vertex, endpoint: str, since: str = "") -> Iterator[tuple[str, str]]:
    """(RFC 3339 timestamp, text) of all servers of an endpoint (resource name), oldest first, from `since` on."""
    return read_logs(vertex, _of_endpoint(endpoint), since)


def log_tail(vertex: Vertex, live: LiveResource, lines: int = TAIL) -> tuple[str, ...]:
    """The last lines that a job, or the servers of a deployment, wrote, oldest first. One call, one page.

    Nothing for what has no log. Raises `core.errors.CloudError`.
    """
    if live.address.role in RUNS and "job" in live.outputs:
        query = _of_job(live.name)
    elif live.address.role is Role.DEPLOYMENT and live.outputs.get("endpoint"):
        query = _of_endpoint(str(live.outputs["endpoint"]))
        if deployed := live.outputs.get("deployed_model_id"):
            query += f' AND labels.deployed_model_id="{deployed}"'
        begun = datetime.fromtimestamp(live.created, UTC).isoformat().replace("+00:00", "Z")
        query += f' AND timestamp>="{begun}"'  # every deploy of one identity has the same id
    else:
        return ()
    body = {
        "resourceNames": [f"projects/{vertex.target.project}"],
        "filter": query,
        "orderBy": "timestamp desc",
        "pageSize": lines,
    }
    answer = _entries(vertex, body)
    return tuple(_text(entry) for entry in reversed(list(answer.get("entries", ()))))


def endpoint_was_asked(vertex: Vertex, endpoint: str, since: str) -> bool:
    """Whether a server of the endpoint wrote the line of a request since then; each answers one with one line."""
    kind = "aiplatform.googleapis.com/Endpoint"
    query = (
        f'resource.type="{kind}" AND resource.labels.endpoint_id="{_last(endpoint)}" AND jsonPayload.message="predict"'
    )
    return next(read_logs(vertex, query, since), None) is not None


def read_logs(vertex: Vertex, query: str, since: str = "") -> Iterator[tuple[str, str]]:
    """The entries that match a Cloud Logging filter, oldest first, as (timestamp, text)."""
    for entry in read_entries(vertex, f'{query} AND timestamp>="{since}"' if since else query):
        yield str(entry.get("timestamp", "")), _text(entry)


def read_entries(vertex: Vertex, query: str, order: str = "timestamp asc") -> Iterator[Mapping[str, Any]]:
    """The entries that match a Cloud Logging filter, page by page, as the service gives them."""
    body: dict[str, Any] = {
        "resourceNames": [f"projects/{vertex.target.project}"],
        "filter": query,
        "orderBy": order,
        "pageSize": PAGE,
    }
    while True:
        answer = _entries(vertex, body)
        yield from answer.get("entries", ())
        token = answer.get("nextPageToken")
        if not token:
            return
        body["pageToken"] = token


def console_link(target: Target, job: str) -> str:
    """The page of a custom job in Google's console; "" for the embedded Vertex AI."""
    if target.api_endpoint:
        return ""
    place = f"locations/{region_of(job) or target.region}/training/{_last(job)}"
    return f"https://console.cloud.google.com/vertex-ai/{place}?project={target.project}"


def _of_job(job: str) -> str:
    return f'resource.type="ml_job" AND resource.labels.job_id="{_last(job)}"'


def _of_endpoint(endpoint: str) -> str:
    kind = "aiplatform.googleapis.com/Endpoint"
    return f'resource.type="{kind}" AND resource.labels.endpoint_id="{_last(endpoint)}"'


def _entries(vertex: Vertex, body: Mapping[str, Any]) -> Mapping[str, Any]:
    url = f"{vertex.target.api_endpoint or 'https://logging.googleapis.com'}/v2/entries:list"
    return with_patience(lambda: _post(vertex, url, body), "", "reading logs", vertex.clock, vertex.patience)


def _post(vertex: Vertex, url: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    response = vertex.session().post(url, json=body, timeout=TIMEOUT)
    if response.status_code >= 400:
        try:
            error = response.json()["error"]
        except (ValueError, KeyError, TypeError):
            error = {"message": response.text[:500]}
        raise from_answer(response.status_code, str(error.get("status", "")), str(error.get("message")), "entries:list")
    answer: Mapping[str, Any] = response.json()
    return answer


def _text(entry: Mapping[str, Any]) -> str:
    if "textPayload" in entry:
        return str(entry["textPayload"])
    payload = entry.get("jsonPayload") or {}
    return str(payload.get("message", payload))


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]
