"""Soft deletion: what a bucket's policy keeps for a while of what was deleted, and how it comes back.

Deleted buckets and versions lie in tables of their own, so that nothing else ever sees them. The objects of a deleted
bucket are kept under `name#generation`. Every function runs inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from dataclasses import replace

from reconciler.emulator.gcs import rows
from reconciler.emulator.gcs.records import Bucket, StoredObject

_OBJECTS = f"SELECT {rows.OBJECT_COLUMNS}, buried, until FROM graves"
_BUCKETS = f"SELECT {rows.BUCKET_COLUMNS}, buried, until FROM buried_buckets"
SECOND = 1_000_000


def bury(connection: sqlite3.Connection, item: StoredObject, now: int, keep_s: int) -> None:
    """Move a version out of the objects; its bytes stay."""
    columns = rows.OBJECT_COLUMNS
    key = (item.bucket, item.name, item.generation)
    where = "WHERE bucket = ? AND name = ? AND generation = ?"
    query = f"INSERT OR REPLACE INTO graves ({columns}, buried, until) SELECT {columns}, ?, ? FROM objects {where}"
    connection.execute(query, (now, now + keep_s * SECOND, *key))
    connection.execute(f"DELETE FROM objects {where}", key)


def find(connection: sqlite3.Connection, bucket: str, name: str, generation: int, now: int) -> StoredObject | None:
    """A deleted version that is still kept."""
    where = "WHERE bucket = ? AND name = ? AND generation = ? AND until > ?"
    row = connection.execute(f"{_OBJECTS} {where}", (bucket, name, generation, now)).fetchone()
    return None if row is None else _object(row)


def scan(connection: sqlite3.Connection, bucket: str, now: int, start: str) -> Generator[StoredObject, None, None]:
    """Deleted versions with names from `start` on, by name and generation. Close the iterator when done."""
    query = f"{_OBJECTS} WHERE bucket = ? AND name >= ? AND until > ? ORDER BY name, generation"
    cursor = connection.execute(query, (bucket, start, now))
    try:
        for row in cursor:
            yield _object(row)
    finally:
        cursor.close()


def bury_bucket(connection: sqlite3.Connection, bucket: Bucket, now: int, keep_s: int) -> None:
    """Move a bucket out of the buckets, with what was deleted in it."""
    columns = rows.BUCKET_COLUMNS
    query = f"INSERT INTO buried_buckets ({columns}, buried, until) SELECT {columns}, ?, ? FROM buckets WHERE name = ?"
    connection.execute(query, (now, now + keep_s * SECOND, bucket.name))
    _rename(connection, bucket.name, _resting(bucket.name, bucket.generation))


def find_bucket(connection: sqlite3.Connection, name: str, generation: int, now: int) -> Bucket | None:
    """A deleted bucket that is still kept."""
    query = f"{_BUCKETS} WHERE name = ? AND generation = ? AND until > ?"
    row = connection.execute(query, (name, generation, now)).fetchone()
    return None if row is None else _bucket(row)


def list_buckets(connection: sqlite3.Connection, project: str, now: int) -> list[Bucket]:
    """All deleted buckets that are still kept, in order of name."""
    query = f"{_BUCKETS} WHERE until > ? AND (? = '' OR project IN (?, '')) ORDER BY name, generation"
    return [_bucket(row) for row in connection.execute(query, (now, project, project)).fetchall()]


def raise_bucket(connection: sqlite3.Connection, bucket: Bucket) -> Bucket:
    """Bring a deleted bucket back."""
    connection.execute("DELETE FROM buried_buckets WHERE name = ? AND generation = ?", (bucket.name, bucket.generation))
    _rename(connection, _resting(bucket.name, bucket.generation), bucket.name)
    found = replace(bucket, buried=0, until=0)
    rows.save_bucket(connection, found)
    return found


def drop_bucket(connection: sqlite3.Connection, name: str) -> list[str]:
    """Forget what was deleted in a bucket that goes for good: the blobs that nothing refers to any more."""
    return _drop(connection, "bucket = ?", (name,))


def expire(connection: sqlite3.Connection, now: int) -> list[str]:
    """Forget what need not be kept any longer: the blobs that nothing refers to any more."""
    doomed = _drop(connection, "until <= ?", (now,))
    gone = connection.execute("SELECT name, generation FROM buried_buckets WHERE until <= ?", (now,)).fetchall()
    for name, generation in gone:
        doomed += drop_bucket(connection, _resting(name, generation))
    connection.execute("DELETE FROM buried_buckets WHERE until <= ?", (now,))
    return doomed


def _drop(connection: sqlite3.Connection, where: str, values: tuple[object, ...]) -> list[str]:
    blobs = {row[0] for row in connection.execute(f"SELECT blob FROM graves WHERE {where}", values)}
    connection.execute(f"DELETE FROM graves WHERE {where}", values)
    return sorted(blob for blob in blobs if not rows.is_used(connection, blob))


def _rename(connection: sqlite3.Connection, old: str, new: str) -> None:
    connection.execute("UPDATE graves SET bucket = ? WHERE bucket = ?", (new, old))


def _resting(name: str, generation: int) -> str:
    return f"{name}#{generation}"


def _object(row: tuple[object, ...]) -> StoredObject:
    buried, until = row[-2:]
    return replace(rows.object_of((*row[:-2], 0)), buried=int(str(buried)), until=int(str(until)))


def _bucket(row: tuple[object, ...]) -> Bucket:
    buried, until = row[-2:]
    return replace(rows.bucket_of(row[:-2]), buried=int(str(buried)), until=int(str(until)))
