"""What the server remembers: rows of (kind, name) in one SQLite file, written ahead, safe to kill at any moment.

Knows nothing of resources: `body` is a serialised proto message, `extra` what the wire never shows.
"""

from __future__ import annotations

import copy
import json
import sqlite3
from collections.abc import Callable, Iterator
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
    """One SQLite database. Use it from one thread; with `handed_on`, from one at a time."""

    def __init__(self, path: Path, *, handed_on: bool = False) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=not handed_on)
        self._from = "things"
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
            CREATE INDEX IF NOT EXISTS by_model ON things (kind, json_extract(extra, '$.model'), seq);
            """
        )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def clear(self, kept: str) -> None:
        """Drop every row but those of the kind `kept`."""
        self._db.execute("DELETE FROM things WHERE kind != ?", (kept,))

    def remember(self, clock: Callable[[], float]) -> None:
        """Keep every version of every row from now on, for `as_of`, until the file is closed."""
        if self._db.execute("SELECT 1 FROM temp.sqlite_master WHERE name = 'past'").fetchone():
            return
        self._db.create_function("moment", 0, clock)
        self._db.executescript(_REMEMBER)

    def as_of(self, moment: float) -> Store:
        """The store as it was at a moment, for reading; at the earliest as it was when `remember` was called."""
        (first,) = self._db.execute("SELECT coalesce(min(since), 0) FROM past").fetchone()
        at = max(moment, first)
        past = copy.copy(self)
        past._from = f"(SELECT * FROM temp.past WHERE since <= {at!r} AND (until IS NULL OR until > {at!r}))"
        return past

    @contextmanager
    def together(self) -> Iterator[None]:
        """All writes inside happen, or none. One inside another is undone alone, and kept only with the other."""
        begin, undo, keep = "BEGIN IMMEDIATE", "ROLLBACK", "COMMIT"
        if self._db.in_transaction:
            begin, undo, keep = "SAVEPOINT inner", "ROLLBACK TO inner; RELEASE inner", "RELEASE inner"
        self._db.execute(begin)
        try:
            yield
        except BaseException:
            for statement in undo.split("; "):
                self._db.execute(statement)
            raise
        self._db.execute(keep)

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
        found = self._db.execute(f"{self._select} WHERE kind = ? AND name = ?", (kind, name)).fetchone()
        return None if found is None else _row(found)

    def children(self, kind: str, parent: str, *, before: int | None = None) -> Iterator[Row]:
        """Rows under `parent`, newest first; only those older than `seq` `before` when given."""
        cursor = self._db.execute(
            f"{self._select} WHERE kind = ? AND parent = ? AND seq < ? ORDER BY seq DESC",
            (kind, parent, before or 2**62),
        )
        return map(_row, cursor)

    def born(self, kind: str, parent: str) -> Iterator[Row]:
        """Rows under `parent`, oldest first."""
        cursor = self._db.execute(f"{self._select} WHERE kind = ? AND parent = ? ORDER BY seq", (kind, parent))
        return map(_row, cursor)

    def working(self, kind: str, work: int, limit: int = -1) -> list[Row]:
        """Rows that need attention, oldest first."""
        query = f"{self._select} WHERE kind = ? AND work = ? ORDER BY seq LIMIT ?"
        cursor = self._db.execute(query, (kind, work, limit))
        return [_row(found) for found in cursor]

    def every(self, kind: str) -> list[Row]:
        """All rows of a kind, oldest first."""
        return [_row(found) for found in self._db.execute(f"{self._select} WHERE kind = ? ORDER BY seq", (kind,))]

    def of_model(self, kind: str, model: str) -> list[Row]:
        """Rows whose `extra` names this `model`, oldest first."""
        query = f"{self._select} WHERE kind = ? AND json_extract(extra, '$.model') = ? ORDER BY seq"
        return [_row(found) for found in self._db.execute(query, (kind, model))]

    def awaken(self, kind: str) -> None:
        """Let rows that were held be worked on again."""
        self._db.execute("UPDATE things SET work = ? WHERE kind = ? AND work = ?", (BUSY, kind, HELD))

    @property
    def _select(self) -> str:
        return f"SELECT {_COLUMNS} FROM {self._from}"


_COLUMNS = "kind, name, parent, body, extra, work, seq"
_NEW = "NEW.kind, NEW.name, NEW.parent, NEW.body, NEW.extra, NEW.work, NEW.seq"
_REMEMBER = f"""
    CREATE TEMP TABLE past (
        kind TEXT, name TEXT, parent TEXT, body BLOB, extra TEXT, work INTEGER, seq INTEGER, since REAL, until REAL);
    CREATE INDEX temp.past_by_seq ON past (seq, until);
    CREATE INDEX temp.past_by_parent ON past (kind, parent, seq);
    INSERT INTO past SELECT {_COLUMNS}, moment(), NULL FROM things;
    CREATE TEMP TRIGGER made AFTER INSERT ON main.things BEGIN
        INSERT INTO past SELECT {_NEW}, moment(), NULL; END;
    CREATE TEMP TRIGGER changed AFTER UPDATE ON main.things BEGIN
        UPDATE past SET until = moment() WHERE seq = OLD.seq AND until IS NULL;
        INSERT INTO past SELECT {_NEW}, moment(), NULL; END;
    CREATE TEMP TRIGGER gone AFTER DELETE ON main.things BEGIN
        UPDATE past SET until = moment() WHERE seq = OLD.seq AND until IS NULL; END;
"""


def _row(found: tuple[str, str, str, bytes, str, int, int]) -> Row:
    kind, name, parent, body, extra, work, seq = found
    return Row(kind, name, parent, body, {} if extra == "{}" else json.loads(extra), work, seq)
