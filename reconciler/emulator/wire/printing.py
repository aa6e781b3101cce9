"""Messages as JSON, as protobuf's own printer writes them and in a third of the time: lists are long.

What is rare (floats, bytes, well-known types other than times) is left to that printer, message by message.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, TypeAlias

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

Print: TypeAlias = Callable[[Any, bool], Any]
"""(value, enums as numbers) -> JSON."""

_RARE = frozenset(
    {
        FieldDescriptor.TYPE_FLOAT,
        FieldDescriptor.TYPE_DOUBLE,
        FieldDescriptor.TYPE_BYTES,
        FieldDescriptor.TYPE_GROUP,
    }
)
_TEXTS = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})


def printed(message: Any, numbers: bool) -> Any:
    """camelCase, int64 as strings, defaults left out; enums by name unless `numbers`."""
    return _printer(message.DESCRIPTOR)(message, numbers)


@cache
def _printer(kind: Descriptor) -> Print:
    """How messages of this type are printed."""
    if kind.full_name == "google.protobuf.Timestamp":
        return lambda message, numbers: _time(message.seconds, message.nanos)
    if kind.full_name.startswith("google.protobuf.") or any(field.type in _RARE for field in kind.fields):
        return lambda message, numbers: json_format.MessageToDict(message, use_integers_for_enums=numbers)
    shows = {field.number: (field.json_name, _field(field)) for field in kind.fields}

    def usual(message: Any, numbers: bool) -> Any:
        shown = {}
        for field, value in message.ListFields():
            name, show = shows[field.number]
            shown[name] = show(value, numbers)
        return shown

    return usual


@lru_cache(1024)
def _time(seconds: int, nanos: int) -> str:
    """One object tells the same moment up to four times."""
    text: str = Timestamp(seconds=seconds, nanos=nanos).ToJsonString()
    return text


def _field(field: FieldDescriptor) -> Print:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _map(field.message_type)
    one = _one(field)
    if not field.is_repeated:
        return one
    if one is _as_it_is:
        return lambda values, numbers: list(values)
    return lambda values, numbers: [one(value, numbers) for value in values]


def _map(entry: Descriptor) -> Print:
    key, one = entry.fields_by_name["key"], _one(entry.fields_by_name["value"])
    if key.type == FieldDescriptor.TYPE_BOOL:
        return lambda values, numbers: {str(name).lower(): one(value, numbers) for name, value in values.items()}
    return lambda values, numbers: {str(name): one(value, numbers) for name, value in values.items()}


def _one(field: FieldDescriptor) -> Print:
    if field.message_type is not None:
        return printed
    if field.enum_type is not None:
        names = {number: value.name for number, value in field.enum_type.values_by_number.items()}
        return lambda value, numbers: value if numbers else names.get(value, value)
    if field.cpp_type in _TEXTS:
        return lambda value, numbers: str(value)
    return _as_it_is


def _as_it_is(value: Any, numbers: bool) -> Any:
    return value
