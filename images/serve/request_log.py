"""One structured line per request or event, as Cloud Logging reads it. Prompts and answers are never in it."""

from __future__ import annotations

import json
from typing import Any, TextIO


def log_line(stream: TextIO, message: str, *, severity: str = "INFO", **fields: Any) -> None:
    """Write one JSON object and flush; keys beside `severity` and `message` are the caller's."""
    stream.write(json.dumps({"severity": severity, "message": message, **fields}, default=str) + "\n")
    stream.flush()
