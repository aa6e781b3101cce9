"""Cloud Audit Logs, admin activity: who changed what. Each mutating call that succeeded over HTTP leaves one entry.

Kept as lines of JSON in one file of the state folder. A bearer token that is an e-mail address names the caller; any
other token is a secret and is not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.emulator.wire.errors import Json

ANONYMOUS = "anonymous"
LOG = "cloudaudit.googleapis.com%2Factivity"
_MUTATES = re.compile(r"\.(Create|Update|Delete|Deploy|Undeploy|Mutate|Upload|Cancel|Merge|Copy|Direct|Pause|Resume)")
_EMAIL = re.compile(r"[^@\s:/]+@[^@\s:/]+")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as far as the headers of a request tell."""

    principal: str
    agent: str


def caller(authorization: str, agent: str) -> Caller:
    """The caller behind an `Authorization` and a `User-Agent` header."""
    scheme, _, token = authorization.partition(" ")
    known = scheme.lower() == "bearer" and _EMAIL.fullmatch(token.strip())
    return Caller(token.strip() if known else ANONYMOUS, agent)


def note(folder: Path, now: float, method: str, resource: str, who: Caller) -> None:
    """Write the entry of one call that succeeded; nothing for calls that change nothing."""
    if not _MUTATES.search(method):
        return
    row = {"time": now, "method": method, "resource": resource, "principal": who.principal, "agent": who.agent}
    path = _file(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(row) + "\n")


def rows(folder: Path) -> Iterator[Json]:
    """The entries as they were noted, oldest first: `time`, `method`, `resource`, `principal`, `agent`, `number`."""
    try:
        lines = _file(folder).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    for number, line in enumerate(lines):
        yield {**json.loads(line), "number": number}


def entry(row: Json, project: str, moment: str) -> Json:
    """One entry as Cloud Logging shows it; `moment` is its time in RFC 3339."""
    method = f"google.cloud.aiplatform.v1.{row['method']}"
    labels = {"service": "aiplatform.googleapis.com", "method": method, "project_id": project}
    return {
        "insertId": f"audit-{row['number']:012d}",
        "logName": f"projects/{project}/logs/{LOG}",
        "resource": {"type": "audited_resource", "labels": labels},
        "timestamp": moment,
        "receiveTimestamp": moment,
        "severity": "NOTICE",
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "serviceName": "aiplatform.googleapis.com",
            "methodName": method,
            "resourceName": row["resource"],
            "authenticationInfo": {"principalEmail": row["principal"]},
            "requestMetadata": {"callerSuppliedUserAgent": row["agent"]},
        },
    }


def _file(folder: Path) -> Path:
    return folder / "logs" / "audit.jsonl"
