"""A folder of objects becomes a folder on this disk: whole, verified and reused, or not there at all.

Decides where a copy lies (under the hash of its content, so that the same content under another address is not
fetched twice) and when it counts as complete (after one rename). What is in the folder is not its business.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

PARALLEL_DOWNLOADS = 8
CHUNKED_ABOVE = 256 * 1024 * 1024
CHUNK = 64 * 1024 * 1024
ABANDONED_AFTER = 3600.0


@dataclass(frozen=True, slots=True, order=True)
class Piece:
    """One object of a folder: `name` relative to it, `size` in bytes, `crc32c` in base64 as Google writes it."""

    name: str
    size: int
    crc32c: str
    generation: int = 0


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where fetched folders are kept: `LORAFORM_CACHE`, else the user's cache directory."""
    if own := environ.get("LORAFORM_CACHE"):
        return Path(own)
    home = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME") or tempfile.gettempdir(), ".cache")
    return Path(home) / "loraform"


def split_uri(uri: str) -> tuple[str, str]:
    """`gs://bucket/some/folder/` -> ("bucket", "some/folder"). ValueError for anything else."""
    if not uri.startswith("gs://"):
        raise ValueError(f"not a gs:// address: {uri!r}")
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    if not bucket:
        raise ValueError(f"no bucket in {uri!r}: write gs://BUCKET/FOLDER")
    return bucket, prefix.strip("/")


def storage_client() -> Any:
    """Google's storage client; without credentials when `STORAGE_EMULATOR_HOST` names the embedded Cloud Storage."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    project = os.environ.get("GOOGLE_CLOUD_PROJECT") or os.environ.get("CLOUD_ML_PROJECT_ID")
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return storage.Client(project=project or "local", credentials=AnonymousCredentials())
    return storage.Client(project=project)


def fetch_folder(
    uri: str,
    cache: Path,
    *,
    client: Any = None,
    without: str | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Path:
    """The folder `uri` on this disk: a local folder itself, a gs:// folder as a verified copy under `cache`.

    `without` names an object that is left out; `note` is told before anything is downloaded. FileNotFoundError when
    there is nothing at `uri`, ValueError when an object cannot be stored or does not match its checksum. Safe to kill
    and to run in several processes at once.
    """
    if not uri.startswith("gs://"):
        folder = Path(uri.removeprefix("file://"))
        if not folder.is_dir():
            raise FileNotFoundError(f"no folder {uri!r} on this machine")
        return folder.resolve()
    client = client or storage_client()
    bucket, prefix = split_uri(uri)
    pieces = tuple(piece for piece in list_folder(client, bucket, prefix) if piece.name != without)
    if not pieces:
        raise FileNotFoundError(f"no objects under {uri!r}")
    target = cache / "folders" / content_hash(pieces)
    if is_complete(target, pieces):
        return target
    note(f"downloading {len(pieces)} files from {uri}")
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target.parent)
    incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=target.parent))
    try:
        with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
            for _ in pool.map(lambda piece: _download(client, bucket, prefix, piece, incoming), pieces):
                pass
        _settle(incoming, target, pieces)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return target


def list_folder(client: Any, bucket: str, prefix: str) -> tuple[Piece, ...]:
    """All objects under the folder, sorted by name, without folder markers. ValueError for a name that leaves it."""
    start = f"{prefix}/" if prefix else ""
    pieces = []
    for blob in client.list_blobs(bucket, prefix=start):
        name = blob.name.removeprefix(start)
        if not name or name.endswith("/"):
            continue
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name:
            raise ValueError(f"gs://{bucket}/{blob.name}: the name leaves its folder")
        pieces.append(Piece(name, int(blob.size or 0), blob.crc32c or "", int(blob.generation or 0)))
    return tuple(sorted(pieces))


def content_hash(pieces: Iterable[Piece]) -> str:
    """32 hex digits over names, sizes and checksums: equal for equal content, wherever it lies."""
    digest = hashlib.sha256()
    for piece in sorted(pieces):
        digest.update(f"{piece.name}\0{piece.size}\0{piece.crc32c}\n".encode())
    return digest.hexdigest()[:32]


def is_complete(folder: Path, pieces: Iterable[Piece]) -> bool:
    """Whether every piece lies in `folder` with its size; content was verified before the folder got its name."""
    if not folder.is_dir():
        return False
    return all((folder / p.name).is_file() and (folder / p.name).stat().st_size == p.size for p in pieces)


def checksum(path: Path) -> str:
    """crc32c of a file, in base64 as Cloud Storage writes it."""
    import google_crc32c

    crc: Any = google_crc32c.Checksum()  # type: ignore[no-untyped-call]  # the package has no annotations
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc.update(block)
    digest: bytes = crc.digest()
    return base64.b64encode(digest).decode("ascii")


def upload_folder(folder: Path, uri: str, *, client: Any = None) -> None:
    """Make every file of `folder` stand under `uri`, several at a time, verified.

    An object that has the content already is left alone, so that nobody who reads it meanwhile loses its generation.
    """
    client = client or storage_client()
    bucket, prefix = split_uri(uri)

    def upload(path: Path) -> None:
        name = f"{prefix}/{path.relative_to(folder).as_posix()}".lstrip("/")
        _upload(client.bucket(bucket).blob(name), path)

    with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
        list(pool.map(upload, sorted(p for p in folder.rglob("*") if p.is_file())))


def _upload(blob: Any, path: Path) -> None:
    from google.api_core.exceptions import PreconditionFailed

    try:
        blob.upload_from_filename(str(path), if_generation_match=0, checksum="crc32c")
    except PreconditionFailed:
        blob.reload()
        if blob.crc32c != checksum(path):
            blob.upload_from_filename(str(path), if_generation_match=blob.generation, checksum="crc32c")


def _download(client: Any, bucket: str, prefix: str, piece: Piece, incoming: Path) -> None:
    path = incoming / piece.name
    path.parent.mkdir(parents=True, exist_ok=True)
    blob = client.bucket(bucket).blob(f"{prefix}/{piece.name}".lstrip("/"), generation=piece.generation or None)
    if piece.size > CHUNKED_ABOVE:
        from google.cloud.storage import transfer_manager

        transfer_manager.download_chunks_concurrently(
            blob,
            str(path),
            chunk_size=CHUNK,
            max_workers=PARALLEL_DOWNLOADS,
            worker_type=transfer_manager.THREAD,
            crc32c_checksum=False,
        )
    else:
        # The listing's checksum is the truth, not the one that happens to come with the answer.
        blob.download_to_filename(str(path), checksum=None)
    address = f"gs://{bucket}/{prefix}/{piece.name}"
    if path.stat().st_size != piece.size:
        raise ValueError(f"{address}: got {path.stat().st_size} bytes, {piece.size} were announced")
    if piece.crc32c and checksum(path) != piece.crc32c:
        raise ValueError(f"{address}: what arrived does not match its crc32c {piece.crc32c}")


def _settle(incoming: Path, target: Path, pieces: Iterable[Piece]) -> None:
    if target.exists() and not is_complete(target, pieces):
        shutil.rmtree(target)
    try:
        incoming.rename(target)
    except OSError:
        # Another process was faster: its copy has the same content.
        if not is_complete(target, pieces):
            raise


def _sweep(parent: Path) -> None:
    """Remove what killed processes left half-fetched."""
    for folder in parent.glob(".incoming-*"):
        try:
            if time.time() - folder.stat().st_mtime > ABANDONED_AFTER:
                shutil.rmtree(folder, ignore_errors=True)
        except FileNotFoundError:
            continue
