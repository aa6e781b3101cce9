"""The SQLite file that says which buckets and objects exist: one writer at a time, many readers beside it.

Decides locking, transactions and the tables. What a row means is `rows.py`; where bytes lie is `blobs.py`.
A transaction that is cut off by a kill has not happened.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TABLES = """
CREATE TABLE IF NOT EXISTS counter (only INTEGER PRIMARY KEY CHECK (only = 0), generation INTEGER NOT NULL);
INSERT OR IGNORE INTO counter VALUES (0, 0);
CREATE TABLE IF NOT EXISTS buckets (
    name TEXT PRIMARY KEY, project TEXT NOT NULL, project_number TEXT NOT NULL, generation INTEGER NOT NULL,
    metageneration INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL, settings TEXT NOT NULL,
    policy TEXT NOT NULL, policy_revision INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, name TEXT NOT NULL, generation INTEGER NOT NULL, metageneration INTEGER NOT NULL,
    blob TEXT NOT NULL, size INTEGER NOT NULL, crc32c TEXT NOT NULL, md5 TEXT NOT NULL, components INTEGER NOT NULL,
    created INTEGER NOT NULL, updated INTEGER NOT NULL, deleted INTEGER NOT NULL, settings TEXT NOT NULL,
    PRIMARY KEY (bucket, name, generation)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS live_objects ON objects (bucket, name) WHERE deleted = 0;
CREATE INDEX IF NOT EXISTS objects_by_blob ON objects (blob);
CREATE TABLE IF NOT EXISTS graves (
    bucket TEXT NOT NULL, name TEXT NOT NULL, generation INTEGER NOT NULL, metageneration INTEGER NOT NULL,
    blob TEXT NOT NULL, size INTEGER NOT NULL, crc32c TEXT NOT NULL, md5 TEXT NOT NULL, components INTEGER NOT NULL,
    created INTEGER NOT NULL, updated INTEGER NOT NULL, deleted INTEGER NOT NULL, settings TEXT NOT NULL,
    buried INTEGER NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (bucket, name, generation)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS graves_by_blob ON graves (blob);
CREATE INDEX IF NOT EXISTS graves_by_end ON graves (until);
CREATE TABLE IF NOT EXISTS buried_buckets (
    name TEXT NOT NULL, project TEXT NOT NULL, project_number TEXT NOT NULL, generation INTEGER NOT NULL,
    metageneration INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL, settings TEXT NOT NULL,
    policy TEXT NOT NULL, policy_revision INTEGER NOT NULL, buried INTEGER NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (name, generation)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, name TEXT NOT NULL, settings TEXT NOT NULL, conditions TEXT NOT NULL,
    expected TEXT NOT NULL, created INTEGER NOT NULL, generation INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL, spool TEXT NOT NULL, size INTEGER NOT NULL, crc32c TEXT NOT NULL,
    md5 TEXT NOT NULL, PRIMARY KEY (upload, number)
) WITHOUT ROWID;
"""


def hold(root: Path) -> int:
    """Take a directory for this process alone and return the descriptor that holds it; it ends with the process."""
    descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise RuntimeError(
            f"{root} is in use by another running server: stop it, or choose another directory"
        ) from error
    return descriptor


class Catalogue:
    """Connections to one SQLite file, shared by all threads of this process."""

    def __init__(self, path: Path, durable: bool) -> None:
        self._path = path
        self._synchronous = "FULL" if durable else "NORMAL"
        self._lock = threading.Lock()
        self._writer = self._connect()
        self._readers: deque[sqlite3.Connection] = deque()
        self._writer.executescript(TABLES)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Enter the one write transaction: committed at the end, rolled back by any exception."""
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection for reading; single statements see one committed moment each."""
        try:
            connection = self._readers.pop()
        except IndexError:
            connection = self._connect()
        try:
            yield connection
        finally:
            self._readers.append(connection)

    def close(self) -> None:
        """Close every connection that is not lent out."""
        with self._lock:
            self._writer.close()
        while self._readers:
            self._readers.pop().close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=30)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        return connection
