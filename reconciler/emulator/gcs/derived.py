"""Objects made of others, on the server's side: copied, moved, composed. The bytes never leave the disk.

Refusals are `StorageError`, as those of `Buckets`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from reconciler.emulator.gcs import versions
from reconciler.emulator.gcs.blobs import PIECE, Spool
from reconciler.emulator.gcs.buckets import Buckets, Change
from reconciler.emulator.gcs.errors import invalid
from reconciler.emulator.gcs.names import check_object_name
from reconciler.emulator.gcs.records import ANY, EMPTY, Conditions, Settings, StoredObject
from reconciler.emulator.gcs.versions import Source


def copy(
    buckets: Buckets, source: Source, bucket: str, name: str, change: Change = dict, conditions: Conditions = ANY
) -> StoredObject:
    """Make an object from another; both share their bytes on disk. `change` turns old settings into new ones."""
    check_object_name(name)
    with buckets.writing() as (connection, doomed):
        old = versions.require_source(connection, source)
        versions.check_write(connection, bucket, name, conditions)
        new = replace(old, bucket=bucket, name=name, settings=dict(change(old.settings)))
        return versions.publish(connection, new, buckets.now(), doomed)


def move(buckets: Buckets, source: Source, name: str, conditions: Conditions = ANY) -> StoredObject:
    """Rename an object within its bucket, in one step."""
    check_object_name(name)
    with buckets.writing() as (connection, doomed):
        old = versions.require_source(connection, source)
        if name == source.name:
            raise invalid("The source and the destination object names must be different.")
        versions.check_write(connection, source.bucket, name, conditions)
        new = versions.publish(connection, replace(old, name=name), buckets.now(), doomed)
        versions.retire(connection, old, buckets.now(), doomed)
        return new


def compose(
    buckets: Buckets,
    sources: Iterable[Source],
    bucket: str,
    name: str,
    settings: Settings = EMPTY,
    conditions: Conditions = ANY,
) -> StoredObject:
    """Make an object of the bytes of others, one after another."""
    spool = buckets.blobs.spool()
    try:
        components = sum(_append(buckets, spool, source) for source in sources)
        return buckets.commit(bucket, name, buckets.blobs.finish(spool), settings, conditions, components)
    finally:
        spool.discard()


def _append(buckets: Buckets, spool: Spool, source: Source) -> int:
    """Append an object's bytes and return of how many components it consists."""
    item, file = buckets.open(source.bucket, source.name, source.generation)
    with file:
        source.conditions.check_write(item.generation, item.metageneration)
        for piece in iter(partial(file.read, PIECE), b""):
            spool.write(piece)
    return item.components or 1
