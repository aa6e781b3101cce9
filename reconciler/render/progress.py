"""What a trainer reports, in words: its log's `LORAFORM {json}` lines, and all others as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reconciler.render import words

PREFIX = "LORAFORM "

PHASES: Mapping[str, str] = {
    "data": "reading the data",
    "model": "loading the base model",
    "training": "training",
    "evaluation": "evaluating",
    "merge": "merging the adapter into its base",
    "artifact": "writing the artifact",
}


def event_of(line: str) -> Mapping[str, Any] | None:
    """The event of one log line; None for the lines of libraries."""
    _, found, body = line.partition(PREFIX)
    if not found:
        return None
    try:
        event = json.loads(body)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def log_line(line: str) -> str:
    """One log line for a person: events in words, everything else made safe to print."""
    event = event_of(line)
    return words.clean(line.rstrip()) if event is None else event_line(event)


def event_line(event: Mapping[str, Any]) -> str:
    """One event in words; an unknown kind as its fields."""
    match event.get("event"):
        case "start":
            return f"start: {_field(event, 'experiment')}, {_field(event, 'method')} on {_field(event, 'device')}"
        case "phase":
            return PHASES.get(str(event.get("phase")), _field(event, "phase"))
        case "data":
            rows = f"{_field(event, 'train_rows')} rows, {_field(event, 'train_tokens')} tokens"
            return f"{rows}, {_field(event, 'steps')} steps of {_field(event, 'effective_batch')} rows"
        case "step":
            return step_line(event)
        case "note":
            return _field(event, "text")
        case "bad_row":
            return f"{_field(event, 'file')}:{_field(event, 'line')}: {_field(event, 'reason')}"
        case "failed":
            return f"failed: {_field(event, 'message')}"
        case "done":
            reused = ", an earlier run's record stood there" if event.get("reused") else ""
            return f"done in {_seconds(event.get('seconds'))}{reused}"
    hidden = ("event", "time")
    rest = ", ".join(f"{words.clean(key)} {_field(event, key)}" for key in sorted(event) if key not in hidden)
    return f"{_field(event, 'event')}: {rest}" if rest else _field(event, "event")


def step_line(event: Mapping[str, Any]) -> str:
    """`step 120 of 432, loss 0.312, 34 s left`."""
    parts = [f"step {_field(event, 'step')} of {_field(event, 'steps')}"]
    if isinstance(event.get("loss"), (int, float)):
        parts.append(f"loss {event['loss']:.3f}")
    if isinstance(event.get("eta_seconds"), (int, float)):
        parts.append(f"{duration(event['eta_seconds'])} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """`34 s`, `12 min`, `3 h 20 min`."""
    whole = max(round(seconds), 0)
    if whole < 120:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _seconds(value: object) -> str:
    return duration(value) if isinstance(value, (int, float)) else "unknown time"


def _field(event: Mapping[str, Any], key: str) -> str:
    value = event.get(key)
    if isinstance(value, float):
        return f"{value:.6g}"
    return words.clean(str("?" if value is None else value), 500)
