"""Reading and restoring what was soft-deleted, and forgetting everything: the rarer calls on a bucket store."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from reconciler.emulator.gcs import graves, rows, versions
from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.gcs.errors import conflict, no_such_bucket, no_such_object
from reconciler.emulator.gcs.listing import Page, Query, list_page
from reconciler.emulator.gcs.records import Bucket, Conditions, StoredObject


def deleted_object(buckets: Buckets, bucket: str, name: str, generation: int) -> StoredObject:
    """A soft-deleted version; 404 where there is none."""
    with buckets.catalogue.read() as connection:
        versions.require_bucket(connection, bucket)
        found = graves.find(connection, bucket, name, generation, buckets.now())
    if found is None:
        raise no_such_object(bucket, name)
    return found


def list_deleted(buckets: Buckets, bucket: str, query: Query) -> Page:
    """One page of a bucket's soft-deleted versions."""
    with buckets.catalogue.read() as connection:
        versions.require_bucket(connection, bucket)
        return list_page(partial(graves.scan, connection, bucket, buckets.now()), query)


def restore_object(buckets: Buckets, bucket: str, name: str, generation: int, conditions: Conditions) -> StoredObject:
    """Make a soft-deleted version the live one, under a new generation; the deleted one stays as it is."""
    found = deleted_object(buckets, bucket, name, generation)
    with buckets.writing() as (connection, doomed):
        versions.check_write(connection, bucket, name, conditions)
        return versions.publish(connection, found, buckets.now(), doomed)


def deleted_bucket(buckets: Buckets, name: str, generation: int) -> Bucket:
    """A soft-deleted bucket; 404 where there is none."""
    with buckets.catalogue.read() as connection:
        found = graves.find_bucket(connection, name, generation, buckets.now())
    if found is None:
        raise no_such_bucket()
    return found


def list_deleted_buckets(buckets: Buckets, project: str) -> list[Bucket]:
    """The soft-deleted buckets of a project ("" for all), in order of name."""
    with buckets.catalogue.read() as connection:
        return graves.list_buckets(connection, project, buckets.now())


def restore_bucket(buckets: Buckets, name: str, generation: int) -> Bucket:
    """Bring a soft-deleted bucket back, with what is soft-deleted in it; 409 where its name has been taken."""
    found = deleted_bucket(buckets, name, generation)
    with buckets.writing() as (connection, _):
        if rows.find_bucket(connection, name):
            raise conflict(f"The name of the bucket {name} has been taken by another bucket.")
        return graves.raise_bucket(connection, replace(found, updated=buckets.now()))


def clear(buckets: Buckets) -> None:
    """Forget every bucket, object and upload, whatever would keep them."""
    with buckets.catalogue.write() as connection:
        for table in ("objects", "graves", "buckets", "buried_buckets", "parts", "uploads"):
            connection.execute(f"DELETE FROM {table}")
    buckets.blobs.sweep((), ())
