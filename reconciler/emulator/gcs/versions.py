"""What a write does to the versions of an object, inside one transaction of the catalogue.

Decides generations, preconditions and what becomes of the version before. Bytes are named, never touched: blobs that
nothing refers to any more are added to `doomed`, for the caller to remove after the commit.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

from reconciler.emulator.gcs import graves, rows
from reconciler.emulator.gcs.bucket_changes import seconds
from reconciler.emulator.gcs.errors import no_such_bucket, no_such_object
from reconciler.emulator.gcs.keeping import check_removable, check_retention
from reconciler.emulator.gcs.records import ANY, Bucket, Conditions, StoredObject


@dataclass(frozen=True, slots=True)
class Source:
    """An object to read from in a copy, move or compose: the live version unless a generation is given."""

    bucket: str
    name: str
    generation: int | None = None
    conditions: Conditions = ANY


def require_bucket(connection: sqlite3.Connection, name: str) -> Bucket:
    """Return a bucket; 404 where it is not there."""
    found = rows.find_bucket(connection, name)
    if found is None:
        raise no_such_bucket()
    return found


def require_object(connection: sqlite3.Connection, bucket: str, name: str, generation: int | None) -> StoredObject:
    """Return a version of an object; 404 where the bucket or the version is not there."""
    found = rows.find_object(connection, bucket, name, generation)
    if found is None:
        require_bucket(connection, bucket)
        raise no_such_object(bucket, name)
    return found


def require_source(connection: sqlite3.Connection, source: Source) -> StoredObject:
    """Return what is to be read; 404 where it is not there, 412 by its preconditions."""
    found = require_object(connection, source.bucket, source.name, source.generation)
    source.conditions.check_write(found.generation, found.metageneration)
    return found


def check_write(connection: sqlite3.Connection, bucket: str, name: str, conditions: Conditions) -> None:
    """Raise 404 without the bucket, 412 unless the live version (or its absence) meets the preconditions."""
    require_bucket(connection, bucket)
    if conditions != ANY:
        live = rows.find_object(connection, bucket, name, None)
        conditions.check_write(live.generation if live else 0, live.metageneration if live else 0)


def publish(connection: sqlite3.Connection, item: StoredObject, now: int, doomed: list[str]) -> StoredObject:
    """Make `item` the live version under a new generation, and the one before noncurrent or gone."""
    bucket = require_bucket(connection, item.bucket)
    check_retention(bucket, item.settings)
    live = rows.find_object(connection, item.bucket, item.name, None)
    if live is not None:
        retire(connection, live, now, doomed)
    held = {"eventBasedHold": True} if bucket.settings.get("defaultEventBasedHold") is True else {}
    new = replace(
        item,
        generation=rows.next_generation(connection, now),
        metageneration=1,
        created=now,
        updated=now,
        deleted=0,
        buried=0,
        until=0,
        settings={**held, **item.settings},
        retention_s=seconds(bucket.settings, "retentionPolicy", "retentionPeriod"),
    )
    rows.save_object(connection, new)
    return new


def retire(connection: sqlite3.Connection, live: StoredObject, now: int, doomed: list[str]) -> None:
    """Take a live version away: a versioned bucket keeps it as noncurrent. 403 where it is held."""
    if require_bucket(connection, live.bucket).versioned:
        check_removable(live, now)
        rows.save_object(connection, replace(live, deleted=now))
    else:
        remove(connection, live, now, doomed)


def remove(connection: sqlite3.Connection, item: StoredObject, now: int, doomed: list[str]) -> None:
    """Delete one version; a bucket with a soft-delete policy keeps it for a while. 403 where it must stay."""
    check_removable(item, now)
    keep_s = seconds(require_bucket(connection, item.bucket).settings, "softDeletePolicy", "retentionDurationSeconds")
    if keep_s:
        graves.bury(connection, item, now, keep_s)
        doomed.extend(graves.expire(connection, now))
        return
    blob = rows.remove_object(connection, item)
    if blob is not None:
        doomed.append(blob)
