"""Files of the repository that must stand in the bucket, under their content hash, before a create."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.cloud.storage import Storage
from reconciler.core.errors import LoraformError
from reconciler.core.resources import Upload
from reconciler.core.target import Target


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The URIs that were seen to in one pass. For several threads: what one is uploading, the others wait for."""

    _done: set[str] = field(default_factory=set)
    _turns: dict[str, threading.Lock] = field(default_factory=dict)

    def once(self, uri: str, act: Callable[[], object]) -> None:
        """Run `act` unless it has been run for this URI; a failure leaves it to the next who wants it."""
        with self._turns.setdefault(uri, threading.Lock()):
            if uri not in self._done:
                act()
                self._done.add(uri)


def upload_all(
    storage: Storage,
    target: Target,
    root: Path,
    uploads: Iterable[Upload],
    uploaded: Uploaded,
    may_go_on: Callable[[], None] = lambda: None,
) -> None:
    """Put every file in its place, unless it is there. `may_go_on` is asked before each, and raises to stop.

    Raises LoraformError for a file that cannot be read or a place outside the fleet's folder.
    """
    for upload in sorted(uploads):
        if not upload.uri.startswith(f"{target.folder}/data/"):
            raise LoraformError(f"{upload.path}: {upload.uri} is outside {target.folder}/data/")

        def send(upload: Upload = upload) -> None:
            may_go_on()
            storage.upload(root / upload.path, upload.uri.removeprefix(f"gs://{target.bucket}/"), sha256=upload.sha256)

        uploaded.once(upload.uri, send)
