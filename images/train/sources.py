"""Bytes to numbered records: JSONL, JSON, CSV and Parquet, by the file name's ending (anything else is JSONL).

A record that cannot be read becomes a `BadRow` with file, line and reason; all others are still read. What a record
means is decided in `rows.py`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images.train.failures import DataInvalid, StorageFailed
from images.train.hub import Hub, fetch_rows, on_hub
from images.train.storage import Storage, split_generation
from schemas.run_record import DataRead


@dataclass(frozen=True, slots=True, order=True)
class BadRow:
    """A row that cannot be trained on. `line` counts from 1: lines of text files, rows of Parquet and JSON."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class Refused(Exception):
    """Why a row cannot be trained on; becomes a `BadRow`."""


@dataclass(frozen=True, slots=True)
class Record:
    """One JSON object of a data file, where it stands, and how often it is learnt from in an epoch."""

    file: str
    line: int
    value: dict[str, Any]
    weight: float = 1.0


def read_sources(
    storage: Storage, uri: str, hub: Hub | None = None
) -> tuple[list[Record], list[BadRow], list[DataRead]]:
    """Everything in the file at `uri`, or in all files that it names with `*`, in the order of their names."""
    if on_hub(uri):
        fetched = fetch_rows(uri, hub or Hub())
        parts = [_records(one, path.read_bytes(), DataRead(uri=one, rows=0)) for one, path in fetched]
    elif "*" in uri:
        parts = [read_records(storage, one) for one in storage.matching(uri)]
    else:
        parts = [read_records(storage, uri)]
    if not parts:
        raise StorageFailed(f"Nothing matches {uri}", "Check data.train and data.eval.")
    return (
        [record for records, _, _ in parts for record in records],
        [row for _, bad, _ in parts for row in bad],
        [read for _, _, read in parts],
    )


def read_records(storage: Storage, uri: str) -> tuple[list[Record], list[BadRow], DataRead]:
    """Everything in the file at `uri`, what is wrong with it, and which version of it was read."""
    found = storage.read(uri)
    address, pinned = split_generation(uri)
    if found is None:
        remedy = "Check data.train and data.eval."
        if pinned is not None:
            remedy = "A bucket without object versioning keeps only the newest; restore it, or `loraform pin` again."
        raise StorageFailed(f"{uri} is not there", remedy)
    generation = found.generation if address.startswith("gs://") else None
    return _records(uri, found.content, DataRead(uri=address, generation=generation, crc32c=found.crc32c, rows=0))


def _records(uri: str, content: bytes, read: DataRead) -> tuple[list[Record], list[BadRow], DataRead]:
    file = read.uri.rsplit("/", 1)[-1]
    records: list[Record] = []
    bad: list[BadRow] = []
    for line, value in _values(file, content):
        if isinstance(value, dict):
            records.append(Record(file, line, value))
        else:
            bad.append(BadRow(file, line, value))
    if not records and not bad:
        raise DataInvalid(f"{uri} has no rows", "Put at least one row into it.")
    return records, bad, read.model_copy(update={"rows": len(records)})


def _values(file: str, content: bytes) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """(line, record) or (line, reason)."""
    ending = Path(file).suffix.lower()
    if ending == ".parquet":
        return _parquet(content)
    if ending == ".json":
        return _json(content)
    if ending == ".csv":
        return _csv(content)
    return _jsonl(content)


def _jsonl(content: bytes) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if line.strip():
            yield number, _object(line)


def _object(line: bytes) -> dict[str, Any] | str:
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start + 1}"
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg} at column {error.colno}"
    except RecursionError:
        return "nested too deeply"
    return value if isinstance(value, dict) else f"a JSON object is wanted, not {kind(value)}"


def _json(content: bytes) -> Iterator[tuple[int, dict[str, Any] | str]]:
    try:
        rows = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        yield 1, f"not UTF-8 at byte {error.start + 1}"
        return
    except json.JSONDecodeError as error:
        yield error.lineno, f"not JSON: {error.msg} at column {error.colno} (one object per line is `.jsonl`)"
        return
    if not isinstance(rows, list):
        yield 1, f"a JSON array of objects is wanted, not {kind(rows)}"
        return
    for number, row in enumerate(rows, 1):
        yield number, row if isinstance(row, dict) else f"a JSON object is wanted, not {kind(row)}"


def _csv(content: bytes) -> Iterator[tuple[int, dict[str, Any] | str]]:
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        for row in reader:
            if None in row or None in row.values():
                yield reader.line_num, f"as many columns as the header ({len(reader.fieldnames or ())}) are wanted"
            else:
                yield reader.line_num, dict(row)
    except UnicodeDecodeError as error:
        yield 1, f"not UTF-8 at byte {error.start + 1}"
    except csv.Error as error:
        yield reader.line_num, f"not CSV: {error}"


def _parquet(content: bytes) -> Iterator[tuple[int, dict[str, Any] | str]]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(pyarrow.BufferReader(content)).to_pylist()
    except pyarrow.ArrowException as error:
        yield 1, f"not Parquet: {str(error).splitlines()[0]}"
        return
    yield from enumerate(rows, 1)


def kind(value: object) -> str:
    """What a value is in JSON's words."""
    names = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), "an object")
