"""Where Cloud Storage is joined to this server: its application, and the folders that stand for `/gcs/BUCKET`.

The copying between folders and buckets is done in a thread of its own; callers ask again until it is done.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler.emulator.clock import Clock
from reconciler.emulator.gcs.app import claims, storage_app
from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.gcs.errors import StorageError
from reconciler.emulator.gcs.mount import collect, materialise
from reconciler.emulator.gcs.recovery import clear
from reconciler.emulator.wire.names import project_number


@dataclass(frozen=True, slots=True)
class Storage:
    """The clock that all follow, an ASGI application for the Cloud Storage paths, and the folders for programs."""

    clock: Clock
    app: Callable[[dict[str, Any], Any, Any], Awaitable[None]]
    folders: BucketFolders

    def claims(self, path: str) -> bool:
        """Whether a path that no other service knows is for an object of a bucket: `/BUCKET/OBJECT`."""
        return claims(self.folders.buckets, path)


@dataclass(slots=True)
class BucketFolders:
    """Implements `Mounts`: one folder per bucket, shared by all programs that use it."""

    buckets: Buckets
    root: Path
    thread: ThreadPoolExecutor
    users: dict[str, frozenset[str]] = field(default_factory=dict)
    showing: dict[str, Future[None]] = field(default_factory=dict)
    giving: dict[str, Future[None]] = field(default_factory=dict)

    def folder(self, bucket: str) -> Path:
        """The folder of a bucket."""
        return self.root / bucket

    def read(self, uri: str) -> bytes | None:
        """A small object by its `gs://` address; None when it is not there."""
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        try:
            return self.buckets.read(bucket, name)
        except StorageError:
            return None

    def show(self, key: str, buckets: Collection[str]) -> bool:
        """Begin to bring the objects into the folders, for the program `key`; True once they are there."""
        if not buckets:
            return True
        if key not in self.showing:
            self.users[key] = frozenset(buckets)
            self.showing[key] = self.thread.submit(self._show, frozenset(buckets))
        return self.showing[key].done()

    def give_back(self, key: str) -> bool:
        """Begin to turn what the program has written into objects; True once they are."""
        if key not in self.users:
            return True
        if key not in self.giving:
            mine = self.users[key]
            others = frozenset().union(*(used for user, used in self.users.items() if user != key))
            self.giving[key] = self.thread.submit(self._collect, mine, mine - others)
        if not self.giving[key].done():
            return False
        for kept in (self.users, self.showing, self.giving):
            kept.pop(key)
        return True

    def give_back_meanwhile(self) -> None:
        """Turn what running programs have finished writing into objects, so that others see it."""
        self.thread.submit(self._collect, frozenset().union(*self.users.values()), frozenset())

    def clear(self) -> None:
        """Delete every object, every bucket and every folder. Blocks while others copy; programs have ended before."""
        self.thread.submit(self._clear).result()
        for kept in (self.users, self.showing, self.giving):
            kept.clear()

    def _clear(self) -> None:
        clear(self.buckets)
        shutil.rmtree(self.root, ignore_errors=True)

    def _show(self, buckets: frozenset[str]) -> None:
        for bucket in sorted(buckets):
            self.folder(bucket).mkdir(parents=True, exist_ok=True)
            with suppress(StorageError, OSError):  # no such bucket: an empty folder, as an unknown mount has
                materialise(self.buckets, bucket, "", self.folder(bucket))

    def _collect(self, buckets: frozenset[str], final: frozenset[str]) -> None:
        for bucket in sorted(buckets):
            with suppress(StorageError, OSError):
                collect(self.buckets, bucket, self.folder(bucket), bucket in final)


@contextmanager
def open_storage(root: Path, clock: Clock | None = None) -> Iterator[Storage]:
    """Open the buckets under `root`. Without a `clock` they follow the machine's time."""
    clock = clock or Clock(time.time)
    buckets = Buckets(root, lambda: datetime.fromtimestamp(clock(), UTC), project_number=project_number)
    try:
        with ThreadPoolExecutor(1, "bucket-folders") as thread:
            yield Storage(clock, storage_app(buckets), BucketFolders(buckets, root / "mounted", thread))
    finally:
        buckets.close()
