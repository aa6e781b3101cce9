"""Files of the repository that must stand in the bucket, under their content hash, before a create."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from reconciler.cloud.storage import Storage
from reconciler.core.errors import LoraformError
from reconciler.core.resources import Upload
from reconciler.core.target import Target


def upload_all(storage: Storage, target: Target, root: Path, uploads: Iterable[Upload], done: set[str]) -> None:
    """Put every file in its place, unless it is there. `done` collects the URIs that were seen to in this pass.

    Raises LoraformError for a file that cannot be read or a place outside the fleet's folder.
    """
    for upload in sorted(uploads):
        if upload.uri in done:
            continue
        if not upload.uri.startswith(f"{target.folder}/data/"):
            raise LoraformError(f"{upload.path}: {upload.uri} is outside {target.folder}/data/")
        storage.upload(root / upload.path, upload.uri.removeprefix(f"gs://{target.bucket}/"), sha256=upload.sha256)
        done.add(upload.uri)
