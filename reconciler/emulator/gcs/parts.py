"""Uploads in parts, as the XML API has them: parts in any order, by number, until they are made one object.

Decides what is kept of each until then, so that it outlives a restart of the server. The wire is `xml_calls.py`.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from reconciler.emulator.gcs.blobs import PIECE, Content
from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.gcs.errors import StorageError, invalid
from reconciler.emulator.gcs.records import ANY, Settings, StoredObject

MOST_PARTS = 10_000


class Parts:
    """All uploads in parts of a bucket store. Safe to call from many threads."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    def start(self, bucket: str, name: str, settings: Settings) -> str:
        """Begin an upload and return its id; 404 without the bucket."""
        self._buckets.check(bucket, name, ANY)
        upload = uuid.uuid4().hex
        values = (upload, bucket, name, json.dumps(dict(settings)), "{}", "{}", self._buckets.now(), 0)
        with self._buckets.catalogue.write() as connection:
            connection.execute("INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        return upload

    def put(self, upload: str, bucket: str, name: str, number: int, content: Content) -> None:
        """Take a part; another of the same number goes. 404 for an upload that is not there."""
        if not 1 <= number <= MOST_PARTS:
            raise invalid(f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive.")
        with self._buckets.catalogue.write() as connection:
            self._settings(upload, bucket, name)
            query = "SELECT spool FROM parts WHERE upload = ? AND number = ?"
            old = connection.execute(query, (upload, number)).fetchone()
            values = (upload, number, content.path.name, content.size, content.crc32c, content.md5)
            connection.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)", values)
        if old:
            content.path.with_name(old[0]).unlink(missing_ok=True)

    def complete(self, upload: str, bucket: str, name: str, wanted: Sequence[tuple[int, str]]) -> StoredObject:
        """Make the object of the `wanted` parts, (number, etag) in rising order; 400 for one that is not as said."""
        settings = self._settings(upload, bucket, name)
        with self._buckets.catalogue.read() as connection:
            rows = connection.execute("SELECT number, spool, md5 FROM parts WHERE upload = ?", (upload,)).fetchall()
        there = {number: (spool, part_etag(md5)) for number, spool, md5 in rows}
        if not wanted or [number for number, _ in wanted] != sorted({number for number, _ in wanted}):
            raise invalid("The list of parts was not in ascending order.")
        if any(number not in there or there[number][1] != etag for number, etag in wanted):
            raise invalid("One or more of the specified parts could not be found.")
        whole = self._buckets.blobs.spool()
        try:
            for number, _ in wanted:
                with whole.path.with_name(there[number][0]).open("rb", buffering=0) as file:
                    for piece in iter(partial(file.read, PIECE), b""):
                        whole.write(piece)
            content = self._buckets.blobs.finish(whole)
            item = self._buckets.commit(bucket, name, content, settings, components=len(wanted))
        finally:
            whole.discard()
        self.cancel(upload, bucket, name)
        return item

    def cancel(self, upload: str, bucket: str, name: str) -> None:
        """Forget an upload and its parts."""
        self._settings(upload, bucket, name)
        with self._buckets.catalogue.write() as connection:
            rows = connection.execute("SELECT spool FROM parts WHERE upload = ?", (upload,)).fetchall()
            connection.execute("DELETE FROM parts WHERE upload = ?", (upload,))
            connection.execute("DELETE FROM uploads WHERE id = ?", (upload,))
        for (spool,) in rows:
            self._path(spool).unlink(missing_ok=True)

    def _settings(self, upload: str, bucket: str, name: str) -> Settings:
        query = "SELECT settings FROM uploads WHERE id = ? AND bucket = ? AND name = ?"
        with self._buckets.catalogue.read() as connection:
            row = connection.execute(query, (upload, bucket, name)).fetchone()
        if row is None:
            raise StorageError(404, "notFound", "The requested upload was not found.")
        found = json.loads(row[0])
        return found if isinstance(found, dict) else {}

    def _path(self, spool: str) -> Path:
        return self._buckets.blobs.spool_path(spool)


def part_etag(md5: str) -> str:
    """Return the entity tag of bytes with this checksum (base64): its hex digits in quotes."""
    return f'"{base64.b64decode(md5).hex()}"'
