"""Where Cloud Storage is joined to this server: its application, and the folder behind `/gcs/BUCKET`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.emulator.world import Mount


@dataclass(frozen=True, slots=True)
class Storage:
    """An ASGI application for the Cloud Storage paths, and `mount(bucket)`."""

    app: Callable[[dict[str, Any], Any, Any], Awaitable[None]]
    mount: Mount


@contextmanager
def open_storage(root: Path) -> Iterator[Storage]:
    """Open the buckets under `root`."""

    async def absent(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 501, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    def mount(bucket: str) -> Path:
        folder = root / "mounted" / bucket
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    yield Storage(absent, mount)
