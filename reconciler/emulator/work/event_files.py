"""Writes TensorBoard's event files: records of (time, step, tag, value), without TensorBoard."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import google_crc32c


def event_file(points: Iterable[tuple[float, int, str, float]], started: float) -> bytes:
    """The whole file. `points` are (seconds since 1970, step, tag, value)."""
    records = [_double(1, started) + _bytes(3, b"brain.Event:2")]
    for time, step, tag, value in points:
        one = _bytes(1, tag.encode()) + _float(2, value)
        records.append(_double(1, time) + _varint_field(2, step) + _bytes(5, _bytes(1, one)))
    return b"".join(map(_record, records))


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + _mask(length) + content + _mask(content)


def _mask(content: bytes) -> bytes:
    crc = google_crc32c.value(content)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _varint_field(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content
