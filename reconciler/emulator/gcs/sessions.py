"""Resumable uploads: what is known of each until its object exists, so that it outlives a restart of the server.

Decides how many bytes of a chunk are kept. As on Google, chunks count in multiples of 256 KiB until the last one.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import uuid
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field, replace

from reconciler.emulator.gcs.blobs import PIECE, Spool
from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.gcs.checksums import Expected, verify
from reconciler.emulator.gcs.errors import StorageError
from reconciler.emulator.gcs.records import Conditions, Settings, StoredObject

QUANTUM = 256 * 1024
"""A chunk that is not the last counts in multiples of this many bytes."""

WEEK = 7 * 24 * 3600 * 1_000_000
"""Microseconds after which Google forgets an upload."""


@dataclass(frozen=True, slots=True)
class Session:
    """A resumable upload. `generation` is 0 until the object exists."""

    id: str
    bucket: str
    name: str
    settings: Settings
    conditions: Conditions
    expected: Expected
    generation: int = 0


@dataclass(slots=True)
class _Desk:
    """Where one upload is being worked on: one request at a time, its file open between them."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    spool: Spool | None = None


class Sessions:
    """All resumable uploads of a bucket store. Use it from one event loop."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._desks: dict[str, _Desk] = {}

    def start(self, bucket: str, name: str, settings: Settings, conditions: Conditions, expected: Expected) -> Session:
        """Begin an upload; 404 and 412 as the write itself would answer now."""
        self._buckets.check(bucket, name, conditions)
        session = Session(uuid.uuid4().hex, bucket, name, settings, conditions, expected)
        now = self._buckets.now()
        with self._buckets.catalogue.write() as connection:
            connection.execute("DELETE FROM uploads WHERE created < ?", (now - WEEK,))
            values = (
                session.id, bucket, name, json.dumps(dict(settings)), json.dumps(asdict(conditions)),
                json.dumps(asdict(expected)), now, 0,
            )  # fmt: skip
            connection.execute("INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        return session

    def desk(self, session: str) -> asyncio.Lock:
        """Return the lock to hold while an upload is being worked on."""
        return self._desks.setdefault(session, _Desk()).lock

    def find(self, session: str) -> Session:
        """Return an upload; 404 where it was never started, was cancelled or is forgotten."""
        with self._buckets.catalogue.read() as connection:
            row = connection.execute("SELECT * FROM uploads WHERE id = ?", (session,)).fetchone()
        if row is None:
            self._desks.pop(session, None)
            raise StorageError(404, "notFound", "No such upload session.")
        return _session(row)

    def size(self, session: Session) -> int:
        """Return how many bytes are safe."""
        return self._spool(session).size

    async def append(self, session: Session, skip: int, pieces: AsyncIterator[bytes], last: int | None) -> None:
        """Add bytes but for the first `skip`; all of them count where they reach `last`, the size of the whole.

        400 for more bytes than that. Bytes short of a whole quantum are dropped, also where the client goes away.
        """
        spool = self._spool(session)
        tail = bytearray()
        try:
            async for piece in pieces:
                tail += piece[skip:]
                skip = max(0, skip - len(piece))
                if last is not None and spool.size + len(tail) > last:
                    raise StorageError(400, "invalid", "The upload has more bytes than its Content-Range header says.")
                if len(tail) >= PIECE:
                    await asyncio.to_thread(spool.write, _take(tail, QUANTUM))
            ends = last is not None and spool.size + len(tail) == last
            await asyncio.to_thread(spool.write, _take(tail, 1 if ends else QUANTUM))
        except OSError:
            # The disk may hold less than was counted: the next request looks at the file itself.
            self._desks[session.id].spool = None
            raise
        finally:
            spool.pause()

    def complete(self, session: Session, expected: Expected) -> StoredObject:
        """Turn the bytes into the object; 400 by checksum and 412 by precondition end the upload for good."""
        content = self._buckets.blobs.finish(self._spool(session))

        def done(connection: sqlite3.Connection, item: StoredObject) -> None:
            connection.execute("UPDATE uploads SET generation = ? WHERE id = ?", (item.generation, session.id))

        try:
            verify(content, session.expected)
            verify(content, expected)
            item = self._buckets.commit(
                session.bucket, session.name, content, session.settings, session.conditions, together=done
            )
        except StorageError:
            self.cancel(session)
            raise
        self._desks.pop(session.id, None)
        return item

    def cancel(self, session: Session) -> None:
        """Forget an upload and its bytes."""
        with self._buckets.catalogue.write() as connection:
            connection.execute("DELETE FROM uploads WHERE id = ?", (session.id,))
        if session.generation == 0:
            self._spool(session).discard()
        self._desks.pop(session.id, None)

    def _spool(self, session: Session) -> Spool:
        desk = self._desks.setdefault(session.id, _Desk())
        if desk.spool is None:
            desk.spool = self._buckets.blobs.spool_named(session.id, QUANTUM)
        return desk.spool


def _take(tail: bytearray, quantum: int) -> bytes:
    """Cut whole quanta off the front of `tail`."""
    whole = len(tail) - len(tail) % quantum
    taken = bytes(tail[:whole])
    del tail[:whole]
    return taken


def _session(row: sqlite3.Row) -> Session:
    found = Session(row[0], row[1], row[2], json.loads(row[3]), Conditions(**json.loads(row[4])), Expected())
    return replace(found, expected=Expected(**json.loads(row[5])), generation=row[7])
