"""Sheets on disk: a memory that may be deleted at any time, and is never believed where anything is different.

Some files in one folder, each replaced as a whole, so that processes side by side only cost each other time. A file
counts only where it was written: for this repository, project, target and version of Loraform, whole, and untouched
since; one that came by git or from another machine does not. Reading one runs no code.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import secrets
import struct
import time
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import reconciler
import schemas
from reconciler.core import errors, resources, verdict
from reconciler.core.target import Target
from reconciler.repo import sheets
from reconciler.repo.sheets import Again, Recalled, Sheet

SHARDS = 16
FOLDER = Path(".loraform/sheets")
_HEAD = struct.Struct("<8s32sq32s")
_MAGIC = b"sheets 1"
_ROOMS = ("core", "backends", "repo")

Shard = Mapping[str, Sheet]
"""Path of a manifest -> its sheet."""


def shard_of(path: str) -> int:
    """Which file keeps the sheet of a manifest."""
    return zlib.crc32(path.encode()) % SHARDS


def context_of(root: Path, project: bytes, name: str, target: Target) -> bytes:
    """What all sheets of a folder depend on: the project, the target (wherever it answers) and our own code."""
    parts = [str(root.resolve()), name, repr(replace(target, api_endpoint=None)), *_code()]
    return hashlib.sha256("\n".join(parts).encode() + b"\n" + project).digest()


def packed(shard: Shard) -> bytes:
    """A shard as bytes."""
    stream = io.BytesIO()
    _Pickler(stream, protocol=5).dump(dict(shard))
    return stream.getvalue()


def unpacked(payload: bytes, again: Again) -> dict[str, Sheet]:
    """The shard in bytes of `packed`; `again` reads a manifest whose details somebody wants. Raises on other bytes."""
    shard = _Unpickler(payload, again).load()
    if not isinstance(shard, dict) or not all(isinstance(item, Sheet) for item in shard.values()):
        raise pickle.UnpicklingError("not a shard")
    return shard


def read_shard(folder: Path, number: int, context: bytes, again: Again) -> dict[str, Sheet]:
    """A shard as it was kept; empty where there is none that may be believed."""
    try:
        with (folder / f"{number}.bin").open("rb") as stream:
            stamped = os.fstat(stream.fileno()).st_mtime_ns
            head, payload = stream.read(_HEAD.size), stream.read()
        magic, written_for, sealed, digest = _HEAD.unpack(head)
        if (magic, written_for, sealed) != (_MAGIC, context, stamped) or hashlib.sha256(payload).digest() != digest:
            return {}
        return unpacked(payload, again)
    except Exception:  # whatever is wrong with a memory, the manifests are there
        return {}


def write_shard(folder: Path, number: int, context: bytes, payload: bytes) -> None:
    """Keep the bytes of `packed`; a failure costs only time later."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        partial = folder / f"{number}.{secrets.token_hex(6)}.part"
        sealed = time.time_ns()
        try:
            with partial.open("xb") as stream:
                stream.write(_HEAD.pack(_MAGIC, context, sealed, hashlib.sha256(payload).digest()))
                stream.write(payload)
            # git, archives and copies give a file another time: only what was written here opens.
            os.utime(partial, ns=(sealed, sealed))
            partial.replace(folder / f"{number}.bin")
        finally:
            partial.unlink(missing_ok=True)


class _Pickler(pickle.Pickler):
    """Writes values as calls of their classes: four times as quick to read as field by field."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, type) or not is_dataclass(value):
            return NotImplemented
        return type(value), tuple(getattr(value, item.name) for item in fields(value))


class _Unpickler(pickle.Unpickler):
    """Knows the values of the core and sheets, and no other name: nothing else can be made, or called."""

    def __init__(self, payload: bytes, again: Again) -> None:
        super().__init__(io.BytesIO(payload))
        self._again = again

    def find_class(self, module: str, name: str) -> Any:
        if module == sheets.__name__ and name == Recalled.__name__:
            return lambda path, index, what: Recalled(path, index, what, self._again)
        for known in (resources, verdict, errors, sheets):
            found = getattr(known, name, None) if known.__name__ == module else None
            if isinstance(found, type) and (is_dataclass(found) or issubclass(found, (Enum, tuple))):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a sheet")


def _code() -> list[str]:
    """Names, sizes and times of the source files by which sheets are made."""
    places = [Path(str(schemas.__file__)).parent]
    places += [Path(str(reconciler.__file__)).parent / room for room in _ROOMS]
    found = []
    for place in places:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_file():
                    status = entry.stat()
                    found.append(f"{entry.path} {status.st_size} {status.st_mtime_ns}")
    return sorted(found)
