"""Where Cloud Storage is joined to this server: its application, and the folder behind `/gcs/BUCKET`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler.emulator.gcs.app import storage_app
from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.world import Mount


@dataclass(frozen=True, slots=True)
class Storage:
    """An ASGI application for the Cloud Storage paths, and `mount(bucket)`."""

    app: Callable[[dict[str, Any], Any, Any], Awaitable[None]]
    mount: Mount


@contextmanager
def open_storage(root: Path) -> Iterator[Storage]:
    """Open the buckets under `root`."""
    buckets = Buckets(root, lambda: datetime.now(UTC))

    def mount(bucket: str) -> Path:
        folder = root / "mounted" / bucket
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    try:
        yield Storage(storage_app(buckets), mount)
    finally:
        buckets.close()
