"""Rows of the catalogue as values and back: every SQL statement about buckets and objects is here.

Decides nothing: the functions take a connection that `catalogue.py` lent, inside a transaction or not.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator
from typing import Any

from reconciler.emulator.gcs.records import Bucket, Settings, StoredObject

BUCKET_COLUMNS = (
    "name, project, project_number, generation, metageneration, created, updated, settings, policy, policy_revision"
)
OBJECT_COLUMNS = (
    "bucket, name, generation, metageneration, blob, size, crc32c, md5, components, created, updated, deleted, settings"
)
"""In the order of the fields of `StoredObject`."""
_BUCKET_FIELDS = tuple(BUCKET_COLUMNS.split(", "))
_BUCKET_SLOTS = ", ".join("?" * 10)
_OBJECT_SLOTS = ", ".join("?" * 13)

_RETENTION = (
    "(SELECT json_extract(buckets.settings, '$.retentionPolicy.retentionPeriod') FROM buckets WHERE buckets.name = ?1)"
)
"""Of the one bucket that all queries below are about, so that it is looked up once in each and not for every row."""
_SELECT = f"SELECT {OBJECT_COLUMNS}, {_RETENTION} FROM objects"

_FIND_BUCKET = f"SELECT {BUCKET_COLUMNS} FROM buckets WHERE name = ?"
_LIVE = f"{_SELECT} WHERE bucket = ?1 AND name = ?2 AND deleted = 0"
_VERSION = f"{_SELECT} WHERE bucket = ?1 AND name = ?2 AND generation = ?3"
_LIVE_FROM = f"{_SELECT} WHERE bucket = ?1 AND deleted = 0 AND name >= ?2 ORDER BY name"
_ALL_FROM = f"{_SELECT} WHERE bucket = ?1 AND name >= ?2 ORDER BY name, generation"


def next_generation(connection: sqlite3.Connection, now: int) -> int:
    """Return a generation number: `now` in microseconds, yet above every one that was ever given out."""
    query = "UPDATE counter SET generation = max(generation + 1, ?) RETURNING generation"
    return int(connection.execute(query, (now,)).fetchall()[0][0])


def find_bucket(connection: sqlite3.Connection, name: str) -> Bucket | None:
    """Return the bucket of this name."""
    row = connection.execute(_FIND_BUCKET, (name,)).fetchone()
    return None if row is None else bucket_of(row)


def list_buckets(connection: sqlite3.Connection, project: str, prefix: str, after: str, limit: int) -> list[Bucket]:
    """Return up to `limit` buckets with names above `after`, in order of name.

    Only those of `project`, unless it is ""; a bucket that was made without naming a project is in every one.
    """
    query = (
        f"SELECT {BUCKET_COLUMNS} FROM buckets WHERE name > ? AND substr(name, 1, ?) = ? "
        "AND (? = '' OR project IN (?, '')) ORDER BY name LIMIT ?"
    )
    rows = connection.execute(query, (after, len(prefix), prefix, project, project, limit)).fetchall()
    return [bucket_of(row) for row in rows]


def save_bucket(connection: sqlite3.Connection, bucket: Bucket) -> None:
    """Insert or replace a bucket."""
    values = (
        bucket.name, bucket.project, bucket.project_number, bucket.generation, bucket.metageneration, bucket.created,
        bucket.updated, _dump(bucket.settings), _dump(bucket.policy), bucket.policy_revision,
    )  # fmt: skip
    connection.execute(f"INSERT OR REPLACE INTO buckets ({BUCKET_COLUMNS}) VALUES ({_BUCKET_SLOTS})", values)


def remove_bucket(connection: sqlite3.Connection, name: str) -> None:
    """Delete the row of a bucket."""
    connection.execute("DELETE FROM buckets WHERE name = ?", (name,))


def holds_objects(connection: sqlite3.Connection, bucket: str) -> bool:
    """Whether a bucket holds any version of any object."""
    return connection.execute("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", (bucket,)).fetchone() is not None


def find_object(connection: sqlite3.Connection, bucket: str, name: str, generation: int | None) -> StoredObject | None:
    """Return the live version, or the version of a given generation, live or not."""
    if generation is None:
        row = connection.execute(_LIVE, (bucket, name)).fetchone()
    else:
        row = connection.execute(_VERSION, (bucket, name, generation)).fetchone()
    return None if row is None else object_of(row)


def scan(
    connection: sqlite3.Connection, bucket: str, versions: bool, start: str
) -> Generator[StoredObject, None, None]:
    """Yield objects with names from `start` on, by name and generation. Close the iterator when done."""
    cursor = connection.execute(_ALL_FROM if versions else _LIVE_FROM, (bucket, start))
    try:
        for row in cursor:
            yield object_of(row)
    finally:
        cursor.close()


def save_object(connection: sqlite3.Connection, item: StoredObject) -> None:
    """Insert or replace one version of an object."""
    values = (
        item.bucket, item.name, item.generation, item.metageneration, item.blob, item.size, item.crc32c, item.md5,
        item.components, item.created, item.updated, item.deleted, _dump(item.settings),
    )  # fmt: skip
    connection.execute(f"INSERT OR REPLACE INTO objects ({OBJECT_COLUMNS}) VALUES ({_OBJECT_SLOTS})", values)


def remove_object(connection: sqlite3.Connection, item: StoredObject) -> str | None:
    """Delete one version and return its blob, or nothing where another object shares the blob."""
    query = "DELETE FROM objects WHERE bucket = ? AND name = ? AND generation = ?"
    connection.execute(query, (item.bucket, item.name, item.generation))
    return None if is_used(connection, item.blob) else item.blob


def is_used(connection: sqlite3.Connection, blob: str) -> bool:
    """Whether an object, or a deleted one that is kept, refers to a blob."""
    query = "SELECT 1 FROM objects WHERE blob = ? UNION ALL SELECT 1 FROM graves WHERE blob = ? LIMIT 1"
    return connection.execute(query, (blob, blob)).fetchone() is not None


def blobs_in_use(connection: sqlite3.Connection) -> set[str]:
    """Return the names of all blobs that an object refers to, or a deleted one that is kept."""
    return {row[0] for row in connection.execute("SELECT blob FROM objects UNION SELECT blob FROM graves")}


def spools_in_use(connection: sqlite3.Connection) -> set[str]:
    """Return the names of all temporary files that an unfinished upload refers to."""
    query = "SELECT id FROM uploads WHERE generation = 0 UNION SELECT spool FROM parts JOIN uploads ON id = upload"
    return {row[0] for row in connection.execute(query)}


def _dump(settings: Settings) -> str:
    return json.dumps(dict(settings), separators=(",", ":"))


def bucket_of(row: tuple[Any, ...]) -> Bucket:
    """A bucket from its columns."""
    fields = dict(zip(_BUCKET_FIELDS, row, strict=True))
    return Bucket(**fields | {"settings": json.loads(fields["settings"]), "policy": json.loads(fields["policy"])})


def object_of(row: tuple[Any, ...]) -> StoredObject:
    """An object from its columns, and the seconds for which its bucket's retention policy keeps it."""
    read: tuple[Any, ...] = (*row[:12], json.loads(row[12]), int(row[13] or 0))
    return StoredObject(*read)
