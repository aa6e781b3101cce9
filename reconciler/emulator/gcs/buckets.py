"""Buckets and objects on disk, for callers in this process: `Buckets` is the whole store.

Decides how bytes and records go together, so that a kill at any moment leaves the old object or the new. The wire
format is not known here. Every method is safe to call from many threads; refusals are `StorageError`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from reconciler.emulator.gcs import graves, rows, versions
from reconciler.emulator.gcs.blobs import PIECE, Blobs, Content
from reconciler.emulator.gcs.bucket_changes import completed, seconds
from reconciler.emulator.gcs.catalogue import Catalogue, hold
from reconciler.emulator.gcs.errors import conflict
from reconciler.emulator.gcs.keeping import check_change, check_retention
from reconciler.emulator.gcs.listing import Page, Query, list_page
from reconciler.emulator.gcs.names import check_bucket_name, check_object_name, number_of
from reconciler.emulator.gcs.records import ANY, EMPTY, Bucket, Clock, Conditions, Settings, StoredObject, microseconds

Change = Callable[[Settings], Settings]
"""The settings that a bucket or object has -> the settings that it shall have."""

Together = Callable[[sqlite3.Connection, StoredObject], None]
"""Called inside the transaction that makes an object, with what it has become."""

EVERYTHING = Query()


def nothing_else(connection: sqlite3.Connection, item: StoredObject) -> None:
    """Write nothing beside the object."""


class Buckets:
    """All buckets under one directory, held exclusively by this process.

    `clock` returns the present as an aware datetime. `project_number` maps the project named in a request to the number
    that buckets carry, `location` is where buckets are that name none. `durable` forces every write to the disk before
    it counts: it then survives a power cut too, at some milliseconds each. A killed process loses nothing either way.
    """

    def __init__(
        self,
        root: Path,
        clock: Clock,
        *,
        project_number: Callable[[str], str] = number_of,
        location: str = "US",
        durable: bool = False,
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._held = hold(root)
        self._clock = clock
        self._location = location.upper()
        self.project_number = project_number
        self.blobs = Blobs(root, durable)
        self.catalogue = Catalogue(root / "catalogue.sqlite", durable)
        with self.catalogue.write() as connection:
            graves.expire(connection, self.now())
        with self.catalogue.read() as connection:
            self.blobs.sweep(rows.blobs_in_use(connection), rows.spools_in_use(connection))

    def close(self) -> None:
        """Let go of the directory."""
        self.catalogue.close()
        os.close(self._held)

    def now(self) -> int:
        """Return the present in microseconds since 1970."""
        return microseconds(self._clock())

    # Buckets

    def create_bucket(self, name: str, *, project: str = "", settings: Settings = EMPTY) -> Bucket:
        """Create a bucket; 400 for a name that Google refuses, 409 where it exists."""
        check_bucket_name(name)
        now = self.now()
        with self.catalogue.write() as connection:
            if rows.find_bucket(connection, name):
                raise conflict("Your previous request to create the named bucket succeeded and you already own it.")
            given = {"location": self._location, "storageClass": "STANDARD", **settings}
            bucket = Bucket(
                name=name,
                project=project,
                project_number=self.project_number(project),
                generation=rows.next_generation(connection, now),
                metageneration=1,
                created=now,
                updated=now,
                settings=completed({}, given, now),
            )
            rows.save_bucket(connection, bucket)
            return bucket

    def bucket(self, name: str, conditions: Conditions = ANY) -> Bucket:
        """Return a bucket; 404 where it is not there, 412 or 304 by its metageneration."""
        with self.catalogue.read() as connection:
            found = versions.require_bucket(connection, name)
        conditions.check_read(found.generation, found.metageneration)
        return found

    def has(self, name: str) -> bool:
        """Whether there is a bucket of this name."""
        with self.catalogue.read() as connection:
            return rows.find_bucket(connection, name) is not None

    def list_buckets(self, project: str = "", prefix: str = "", after: str = "", limit: int = 1000) -> list[Bucket]:
        """Return up to `limit` buckets of a project ("" for all) with names above `after`, in order of name."""
        with self.catalogue.read() as connection:
            return rows.list_buckets(connection, project, prefix, after, limit)

    def change_bucket(self, name: str, change: Change, conditions: Conditions = ANY) -> Bucket:
        """Apply `change` to a bucket's settings and raise its metageneration."""
        with self.catalogue.write() as connection:
            old = versions.require_bucket(connection, name)
            conditions.check_write(old.generation, old.metageneration)
            now = self.now()
            settings = completed(old.settings, change(old.settings), now)
            new = replace(old, settings=settings, metageneration=old.metageneration + 1, updated=now)
            rows.save_bucket(connection, new)
            return new

    def set_policy(self, name: str, policy: Settings, revision: int | None = None) -> Bucket:
        """Replace a bucket's IAM policy; 412 where `revision` is given and no longer the current one."""
        with self.catalogue.write() as connection:
            old = versions.require_bucket(connection, name)
            Conditions(generation_match=revision).check_write(old.policy_revision, 0)
            new = replace(old, policy=policy, policy_revision=old.policy_revision + 1)
            rows.save_bucket(connection, new)
            return new

    def delete_bucket(self, name: str, conditions: Conditions = ANY) -> None:
        """Delete an empty bucket; 409 while any version of any object is in it."""
        with self.writing() as (connection, doomed):
            old = versions.require_bucket(connection, name)
            conditions.check_write(old.generation, old.metageneration)
            if rows.holds_objects(connection, name):
                raise conflict("The bucket you tried to delete is not empty.")
            keep_s = seconds(old.settings, "softDeletePolicy", "retentionDurationSeconds")
            if keep_s:
                graves.bury_bucket(connection, old, self.now(), keep_s)
            else:
                doomed.extend(graves.drop_bucket(connection, name))
            rows.remove_bucket(connection, name)

    # Objects

    def put(
        self,
        bucket: str,
        name: str,
        content: bytes | BinaryIO,
        settings: Settings = EMPTY,
        conditions: Conditions = ANY,
    ) -> StoredObject:
        """Write a whole object from bytes or an open file; 404 without the bucket, 412 by its preconditions."""
        spool = self.blobs.spool()
        try:
            for piece in (content,) if isinstance(content, bytes) else iter(partial(content.read, PIECE), b""):
                spool.write(piece)
            return self.commit(bucket, name, self.blobs.finish(spool), settings, conditions)
        finally:
            spool.discard()

    def commit(
        self,
        bucket: str,
        name: str,
        content: Content,
        settings: Settings = EMPTY,
        conditions: Conditions = ANY,
        components: int = 0,
        together: Together = nothing_else,
    ) -> StoredObject:
        """Make finished bytes the live version of an object; on refusal they are left where they are.

        What `together` writes into the catalogue happens with it or not at all.
        """
        check_object_name(name)
        with self.writing() as (connection, doomed):
            versions.check_write(connection, bucket, name, conditions)
            item = StoredObject(
                bucket=bucket,
                name=name,
                blob=self.blobs.keep(content),
                size=content.size,
                crc32c=content.crc32c,
                md5="" if components else content.md5,
                components=components,
                settings=settings,
            )
            new = versions.publish(connection, item, self.now(), doomed)
            together(connection, new)
            return new

    def check(self, bucket: str, name: str, conditions: Conditions) -> None:
        """Raise what a write with these preconditions would raise now; the write itself checks again."""
        check_object_name(name)
        with self.catalogue.read() as connection:
            versions.check_write(connection, bucket, name, conditions)

    def get(self, bucket: str, name: str, generation: int | None = None, conditions: Conditions = ANY) -> StoredObject:
        """Return an object's record; 404 where it is not there, 412 or 304 by its preconditions."""
        with self.catalogue.read() as connection:
            found = versions.require_object(connection, bucket, name, generation)
        conditions.check_read(found.generation, found.metageneration)
        return found

    def open(
        self, bucket: str, name: str, generation: int | None = None, conditions: Conditions = ANY
    ) -> tuple[StoredObject, BinaryIO]:
        """Return an object's record and its bytes, open for reading at 0; close the file when done."""
        missing: StoredObject | None = None
        while True:
            found = self.get(bucket, name, generation, conditions)
            try:
                return found, self.blobs.open(found.blob)
            except FileNotFoundError:
                # Overwritten since its record was read: the next look finds the new version, or none.
                if found == missing:
                    raise
                missing = found

    def read(self, bucket: str, name: str, generation: int | None = None) -> bytes:
        """Return all bytes of an object."""
        _, file = self.open(bucket, name, generation)
        with file:
            return file.read()

    def list_objects(self, bucket: str, query: Query = EVERYTHING) -> Page:
        """Return one page of a bucket's objects and common prefixes."""
        with self.catalogue.read() as connection:
            versions.require_bucket(connection, bucket)
            return list_page(partial(rows.scan, connection, bucket, query.versions), query)

    def change(
        self,
        bucket: str,
        name: str,
        change: Change,
        generation: int | None = None,
        conditions: Conditions = ANY,
        *,
        override: bool = False,
    ) -> StoredObject:
        """Apply `change` to an object's settings and raise its metageneration; its bytes and generation stay.

        403 where it would weaken the object's retention, unless that is not locked and `override` is said.
        """
        with self.catalogue.write() as connection:
            old = versions.require_object(connection, bucket, name, generation)
            conditions.check_write(old.generation, old.metageneration)
            settings = dict(change(old.settings))
            check_retention(versions.require_bucket(connection, bucket), settings)
            check_change(old.settings, settings, override)
            new = replace(old, settings=settings, metageneration=old.metageneration + 1, updated=self.now())
            rows.save_object(connection, new)
            return new

    def delete(self, bucket: str, name: str, generation: int | None = None, conditions: Conditions = ANY) -> None:
        """Delete the live object (a versioned bucket keeps it as noncurrent), or one version for good."""
        with self.writing() as (connection, doomed):
            old = versions.require_object(connection, bucket, name, generation)
            conditions.check_write(old.generation, old.metageneration)
            if generation is None:
                versions.retire(connection, old, self.now(), doomed)
            else:
                versions.remove(connection, old, self.now(), doomed)

    @contextmanager
    def writing(self) -> Iterator[tuple[sqlite3.Connection, list[str]]]:
        """Enter a transaction; blobs that it doomed go once it is committed, never before."""
        doomed: list[str] = []
        with self.catalogue.write() as connection:
            yield connection, doomed
        self.blobs.drop(doomed)
