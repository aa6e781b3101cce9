"""Objects by address: `gs://bucket/name[#generation]` in Cloud Storage, or a path on this machine.

Both kinds can be created only if absent and replaced only if unchanged, which is all that the lock and the run record
need. On a local disk the "generation" is the file's modification time in nanoseconds. Folders are copied by
`images.common`; errors of both are told here as failures of a training run.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images.common.storage import list_folder, split_uri, storage_client, upload_folder
from images.train.failures import DiskFull, NotPermitted, StorageFailed

ANY = -1
"""A precondition that always holds."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object's content and its version. `updated` is seconds since the epoch by the storage's clock."""

    content: bytes
    generation: int
    updated: float
    crc32c: str | None = None


class PreconditionFailed(Exception):
    """The object is not at the generation that the write asked for."""


def is_bucket(uri: str) -> bool:
    """True for an address in Cloud Storage."""
    return uri.startswith("gs://")


def child(folder: str, name: str) -> str:
    """The address of `name` below `folder`."""
    return f"{folder.rstrip('/')}/{name}"


@dataclass(slots=True)
class Storage:
    """The one holder of a Cloud Storage client, made when a `gs://` address is first met."""

    _client: Any = None

    def read(self, uri: str) -> Found | None:
        """The object at `uri` (at the generation after `#`, if one is given), or None."""
        address, generation = split_generation(uri)
        if not is_bucket(address):
            return _read_file(Path(address))
        from google.api_core.exceptions import NotFound

        with translated(uri):
            blob = self._blob(address, generation)
            try:
                content = blob.download_as_bytes()
                blob.reload()
            except NotFound:
                return None
            return Found(content, int(blob.generation), blob.updated.timestamp(), blob.crc32c)

    def write(self, uri: str, content: bytes, *, expected: int = ANY, metadata: Mapping[str, str] | None = None) -> int:
        """Write the object and return its new generation.

        `expected` is the generation that must stand there now, 0 for none. Raises `PreconditionFailed`.
        """
        if not is_bucket(uri):
            return _write_file(Path(uri), content, expected)
        from google.api_core.exceptions import PreconditionFailed as Refused

        with translated(uri):
            blob = self._blob(uri, None)
            blob.metadata = dict(metadata) if metadata else None
            condition = {} if expected == ANY else {"if_generation_match": expected}
            try:
                blob.upload_from_string(content, content_type="application/json", **condition)
            except Refused as refused:
                raise PreconditionFailed(uri) from refused
            return int(blob.generation)

    def delete(self, uri: str, *, expected: int = ANY) -> None:
        """Remove the object if it is there and unchanged; otherwise leave it."""
        if not is_bucket(uri):
            path = Path(uri)
            with contextlib.suppress(FileNotFoundError):
                if expected in (ANY, path.stat().st_mtime_ns):
                    path.unlink()
            return
        from google.api_core.exceptions import NotFound
        from google.api_core.exceptions import PreconditionFailed as Refused

        condition = {} if expected == ANY else {"if_generation_match": expected}
        with translated(uri), contextlib.suppress(NotFound, Refused):
            self._blob(uri, None).delete(**condition)

    def upload_folder(self, source: Path, folder: str) -> None:
        """Copy every file below `source` to `folder`, over whatever stands there."""
        if is_bucket(folder):
            with translated(folder):
                upload_folder(source, folder, client=self.google())
            return
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            _write_file(Path(child(folder, path.relative_to(source).as_posix())), path.read_bytes(), ANY)

    def matching(self, pattern: str) -> list[str]:
        """The sorted addresses that a pattern names: `*` within a folder, `**` through folders.

        Those in a bucket carry the generation that was listed, so that what is read is what was found.
        """
        pattern = pattern if is_bucket(pattern) else str(Path(pattern))
        fixed = pattern.partition("*")[0]
        folder = fixed.rpartition("/")[0]
        whole = re.compile(re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*"))
        if not is_bucket(pattern):
            paths = sorted(str(path) for path in Path(folder or ".").rglob("*") if path.is_file())
            return [path for path in paths if whole.fullmatch(path)]
        bucket, prefix = split_uri(folder)
        with translated(pattern):
            pieces = list_folder(self.google(), bucket, prefix)
        found = [(f"{folder}/{piece.name}", piece.generation) for piece in pieces]
        return [f"{uri}#{generation}" for uri, generation in found if whole.fullmatch(uri)]

    def google(self) -> Any:
        """The client of Cloud Storage."""
        if self._client is None:
            with translated("Cloud Storage"):
                self._client = storage_client()
        return self._client

    def _blob(self, uri: str, generation: int | None) -> Any:
        bucket, name = split_uri(uri)
        return self.google().bucket(bucket).blob(name, generation=generation)


def split_generation(uri: str) -> tuple[str, int | None]:
    """`gs://b/o#12` -> (`gs://b/o`, 12); anything else is returned whole."""
    address, mark, generation = uri.rpartition("#")
    if is_bucket(uri) and mark and generation.isdigit():
        return address, int(generation)
    return uri, None


def _read_file(path: Path) -> Found | None:
    try:
        content, stat = path.read_bytes(), path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise NotPermitted(f"{path} cannot be read", "Give the trainer's user permission to read it.") from error
    return Found(content, stat.st_mtime_ns, stat.st_mtime)


def _write_file(path: Path, content: bytes, expected: int) -> int:
    """Write beside, then link or rename into place, so that nobody ever sees half a file."""
    with translated(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(draft).chmod(0o644)
            if expected == 0:
                try:
                    path.hardlink_to(draft)  # Fails if it exists: the one atomic "create if absent" of a file system.
                except FileExistsError as error:
                    raise PreconditionFailed(str(path)) from error
            else:
                if expected != ANY and (not path.exists() or path.stat().st_mtime_ns != expected):
                    raise PreconditionFailed(str(path))
                Path(draft).replace(path)
        finally:
            Path(draft).unlink(missing_ok=True)
        return path.stat().st_mtime_ns


@contextlib.contextmanager
def translated(uri: str) -> Iterator[None]:
    """Google's, the network's and the disk's errors as failures that name cause and remedy."""
    try:
        yield
    except OSError as error:
        if error.errno == 28:
            raise DiskFull(
                f"No space left on the disk while writing {uri}", "Choose a machine with more disk."
            ) from error
        if isinstance(error, PermissionError):
            raise NotPermitted(f"{uri} cannot be written", "Give the trainer's user permission to write it.") from error
        raise StorageFailed(f"{uri}: {error}", "Check the address and the network, then run again.") from error
    except Exception as error:
        failure = _google_failure(uri, error)
        if failure is None:
            raise
        raise failure from error


def _google_failure(uri: str, error: Exception) -> Exception | None:
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    if isinstance(error, api.Forbidden | api.Unauthorized | auth.GoogleAuthError):
        return NotPermitted(
            f"{uri}: not permitted ({_first_line(error)})",
            "Grant the run's service account roles/storage.objectAdmin on the bucket.",
        )
    if isinstance(error, api.NotFound):
        return StorageFailed(f"{uri} is not there", "Check the bucket and the name.")
    if isinstance(error, api.RetryError):
        return StorageFailed(f"{uri} cannot be reached ({_first_line(error)})", "Check the network, then run again.")
    if isinstance(error, api.GoogleAPIError):
        return StorageFailed(f"{uri}: {_first_line(error)}", "Run again; if it persists, check the bucket's settings.")
    return None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
