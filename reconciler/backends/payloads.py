"""Reading API payloads leniently: enums by name or number, int64 as text, times as RFC 3339, absent maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from reconciler.core.resources import EMPTY, Json


def text(payload: Mapping[str, Json], key: str) -> str:
    """A string field; empty when absent."""
    value = payload.get(key)
    return value if isinstance(value, str) else ""


def mapping(payload: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    """A message or map field; empty when absent."""
    value = payload.get(key)
    return value if isinstance(value, Mapping) else EMPTY


def messages(payload: Mapping[str, Json], key: str) -> tuple[Mapping[str, Json], ...]:
    """A repeated message field; empty when absent."""
    value = payload.get(key)
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    return tuple(item for item in value if isinstance(item, Mapping))


def texts(payload: Mapping[str, Json], key: str) -> tuple[str, ...]:
    """A repeated string field; empty when absent."""
    value = payload.get(key)
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    return tuple(str(item) for item in value)


def integer(payload: Mapping[str, Json], key: str, default: int = 0) -> int:
    """An int32 or int64 field, whether it came as a number or as text."""
    value = payload.get(key)
    return int(value) if isinstance(value, (int, float, str)) and str(value) else default


def enum(payload: Mapping[str, Json], key: str, names: Sequence[str]) -> str:
    """An enum field as its name; `names` are the names by number. An unknown number stays a number in text."""
    value = payload.get(key, 0)
    if isinstance(value, int):
        return names[value] if 0 <= value < len(names) else str(value)
    return str(value)


def seconds(payload: Mapping[str, Json], *keys: str) -> float:
    """The first timestamp that is present, in seconds since the epoch; 0.0 when none is."""
    for key in keys:
        value = text(payload, key)
        if value:
            return datetime.fromisoformat(value).timestamp()
    return 0.0


def last(name: str) -> str:
    """The last segment of a resource name, without a version: the part that does not depend on project numbers."""
    return name.rsplit("/", 1)[-1].split("@", 1)[0]
