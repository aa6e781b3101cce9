"""Bytes on disk: every object's content is one immutable file, written beside and renamed into place.

Decides how bytes become durable and how their checksums come about; knows no bucket, no name and no generation.
A kill at any moment leaves at worst a file that nothing refers to; `sweep` removes those at the next start.
"""

from __future__ import annotations

import base64
import hashlib
import os
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Protocol

import google_crc32c

PIECE = 1 << 20
"""How many bytes are held in memory at a time where content is read or copied."""


@dataclass(frozen=True, slots=True)
class Content:
    """Finished bytes in a temporary file: `path`, `size` in bytes, checksums in base64 as on the wire."""

    path: Path
    size: int
    crc32c: str
    md5: str


class _Checksum(Protocol):
    def update(self, chunk: bytes) -> None: ...

    def digest(self) -> bytes: ...


class Spool:
    """A temporary file that is being written, with its checksums. One writer at a time; not for sharing.

    Where the file is there already it is continued, at a multiple of `quantum` bytes. It is open only between `write`
    and whatever ends that: `pause`, `finish`, `discard`.
    """

    def __init__(self, path: Path, quantum: int = 1) -> None:
        self.path = path
        self.size = 0
        self._crc32c: _Checksum = google_crc32c.Checksum()  # type: ignore[no-untyped-call] # the package has no types
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._file: FileIO | None = None
        if path.exists():
            self._take_up(quantum)

    def write(self, piece: bytes) -> None:
        """Append bytes; the checksums follow."""
        file = self._opened()
        view = memoryview(piece)
        while view:
            view = view[file.write(view) :]
        self._crc32c.update(piece)
        self._md5.update(piece)
        self.size += len(piece)

    def finish(self, durable: bool = False) -> Content:
        """Close the file and return what it holds; `durable` forces it to the disk first."""
        file = self._opened()
        if durable:
            os.fsync(file.fileno())
        self.pause()
        crc32c = base64.b64encode(self._crc32c.digest()).decode()
        return Content(self.path, self.size, crc32c, base64.b64encode(self._md5.digest()).decode())

    def pause(self) -> None:
        """Close the file until more is written."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Close and remove the file. Safe to call twice, and after `finish`."""
        self.pause()
        self.path.unlink(missing_ok=True)

    def _opened(self) -> FileIO:
        if self._file is None:
            self._file = FileIO(self.path, "ab")
        return self._file

    def _take_up(self, quantum: int) -> None:
        there = self.path.stat().st_size
        os.truncate(self.path, there - there % quantum)
        with self.path.open("rb", buffering=0) as file:
            while piece := file.read(PIECE):
                self._crc32c.update(piece)
                self._md5.update(piece)
                self.size += len(piece)


class Blobs:
    """The directory of all content. `root/blobs/ab/abc...` are the blobs, `root/spool` is what is being written."""

    def __init__(self, root: Path, durable: bool) -> None:
        self.durable = durable
        self._blobs = root / "blobs"
        self._spool = root / "spool"
        self._spool.mkdir(parents=True, exist_ok=True)

    def spool(self) -> Spool:
        """Return an empty temporary file to write into."""
        return Spool(self._spool / uuid.uuid4().hex)

    def spool_named(self, name: str, quantum: int) -> Spool:
        """Return a temporary file that outlives a request and, kept by `sweep`, a restart; new, or as it was left."""
        return Spool(self.spool_path(name), quantum)

    def spool_path(self, name: str) -> Path:
        """Return where the temporary file of this name lies."""
        return self._spool / name

    def finish(self, spool: Spool) -> Content:
        """Close a temporary file, forced to the disk where writes are durable, and return what it holds."""
        return spool.finish(self.durable)

    def keep(self, content: Content) -> str:
        """Move finished bytes into place and return the name of the blob."""
        blob = uuid.uuid4().hex
        target = self._path(blob)
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            if self.durable:
                _sync_directory(self._blobs)
        os.rename(content.path, target)
        if self.durable:
            _sync_directory(target.parent)
        return blob

    def open(self, blob: str) -> BinaryIO:
        """Open a blob for reading, unbuffered. `FileNotFoundError` if it has been deleted meanwhile."""
        return self._path(blob).open("rb", buffering=0)

    def path(self, blob: str) -> Path:
        """Return where the bytes lie. Nobody may write there."""
        return self._path(blob)

    def drop(self, blobs: Collection[str]) -> None:
        """Remove blobs that nothing refers to any more; readers that have one open keep it."""
        for blob in blobs:
            self._path(blob).unlink(missing_ok=True)

    def sweep(self, blobs: Collection[str], spools: Collection[str]) -> int:
        """Remove all blobs and temporary files but the named ones; return how many went."""
        gone = 0
        for path in (*self._blobs.glob("??/*"), *self.spools()):
            kept = spools if path.parent == self._spool else blobs
            if path.name not in kept:
                path.unlink(missing_ok=True)
                gone += 1
        return gone

    def spools(self) -> list[Path]:
        """Return the temporary files that are there."""
        return list(self._spool.iterdir())

    def _path(self, blob: str) -> Path:
        return self._blobs / blob[:2] / blob


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
