"""What the server remembers: rows of (kind, name) in one SQLite file, written ahead, safe to kill at any moment.

Knows nothing of resources: `body` is a serialised proto message, `extra` what the wire never shows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.emulator.wire.errors import Json

DONE, WAITING, BUSY, HELD = 0, 1, 2, 3
"""How much attention a row needs: none any more, to be started, being worked on, none until somebody says so."""


@dataclass(frozen=True, slots=True)
class Row:
    """One stored thing. `seq` grows with creation; `work` is one of the four above."""

    kind: str
    name: str
    parent: str
    body: bytes
    extra: Json
    work: int = DONE
    seq: int = 0


class Store:
    """One SQLite database. Use it from one thread."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(
            """
            CREATE TABLE IF NOT EXISTS things (
                seq INTEGER PRIMARY KEY AUTOINCREMENT,
                kind TEXT NOT NULL, name TEXT NOT NULL, parent TEXT NOT NULL,
                work INTEGER NOT NULL, body BLOB NOT NULL, extra TEXT NOT NULL,
                UNIQUE (kind, name));
            CREATE INDEX IF NOT EXISTS by_parent ON things (kind, parent, seq);
            CREATE INDEX IF NOT EXISTS by_work ON things (kind, work, seq);
            """
        )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """All writes inside happen, or none."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def add(self, row: Row) -> None:
        """Insert. Raises `KeyError` when the name is taken."""
        try:
            self._db.execute(
                "INSERT INTO things (kind, name, parent, work, body, extra) VALUES (?, ?, ?, ?, ?, ?)",
                (row.kind, row.name, row.parent, row.work, row.body, json.dumps(row.extra)),
            )
        except sqlite3.IntegrityError:
            raise KeyError(row.name) from None

    def save(self, row: Row) -> None:
        """Replace body, extra and work of an existing row; nothing happens when it has gone."""
        self._db.execute(
            "UPDATE things SET work = ?, body = ?, extra = ? WHERE kind = ? AND name = ?",
            (row.work, row.body, json.dumps(row.extra), row.kind, row.name),
        )

    def drop(self, kind: str, name: str) -> bool:
        """Delete; False when it was not there."""
        return self._db.execute("DELETE FROM things WHERE kind = ? AND name = ?", (kind, name)).rowcount > 0

    def get(self, kind: str, name: str) -> Row | None:
        """One row by its name."""
        found = self._db.execute(f"{_SELECT} WHERE kind = ? AND name = ?", (kind, name)).fetchone()
        return None if found is None else _row(found)

    def children(self, kind: str, parent: str, *, before: int | None = None) -> Iterator[Row]:
        """Rows under `parent`, newest first; only those older than `seq` `before` when given."""
        cursor = self._db.execute(
            f"{_SELECT} WHERE kind = ? AND parent = ? AND seq < ? ORDER BY seq DESC", (kind, parent, before or 2**62)
        )
        return map(_row, cursor)

    def working(self, kind: str, work: int, limit: int = -1) -> list[Row]:
        """Rows that need attention, oldest first."""
        cursor = self._db.execute(f"{_SELECT} WHERE kind = ? AND work = ? ORDER BY seq LIMIT ?", (kind, work, limit))
        return [_row(found) for found in cursor]

    def every(self, kind: str) -> list[Row]:
        """All rows of a kind, oldest first."""
        return [_row(found) for found in self._db.execute(f"{_SELECT} WHERE kind = ? ORDER BY seq", (kind,))]


_SELECT = "SELECT kind, name, parent, body, extra, work, seq FROM things"


def _row(found: tuple[str, str, str, bytes, str, int, int]) -> Row:
    kind, name, parent, body, extra, work, seq = found
    return Row(kind, name, parent, body, json.loads(extra), work, seq)
