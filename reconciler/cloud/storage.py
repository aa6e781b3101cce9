"""The only importer of Google's storage client: small objects with generation preconditions, listings, uploads.

Listings are read as JSON (`rest`), so that a plan needs no client. One `Storage` is one bucket. A lost race is a
`Conflict`, and only that: an answer lost on the way is looked up.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from reconciler.cloud.clock import Clock
from reconciler.cloud.errors import LostAnswer, translate
from reconciler.cloud.rest import Rest
from reconciler.cloud.retry import LOCAL, Patience, with_patience
from reconciler.core.errors import Conflict, LoraformError, NotFound, Terminal
from reconciler.core.target import Target

T = TypeVar("T")

TIMEOUT = 60.0
ABSENT = 0
"""The generation of an object that is not there: writing with it creates, and conflicts if somebody was first."""
_FIELDS = "items(name,generation,metadata,updated,size),nextPageToken"


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing shows it; `updated` in seconds since the epoch, `size` in bytes."""

    name: str
    generation: int
    updated: float
    size: int
    metadata: Mapping[str, str] = field(default_factory=dict)


def connect_storage(
    target: Target, clock: Clock | None = None, patience: Patience | None = None, rest: Rest | None = None
) -> Storage:
    """The target's bucket. On the embedded Vertex AI it is created when it is absent; in the cloud it must exist.

    Nothing is sent before the first use: missing credentials and a missing bucket show there, as Terminal.
    """
    embedded = target.api_endpoint
    return Storage(
        None,
        target.bucket,
        clock or Clock(),
        patience or (LOCAL if embedded else Patience()),
        rest=rest or Rest(target),
    )


class Storage:
    """Holds the connection to one bucket. May be used by several threads. Names are object names without `gs://`."""

    def __init__(self, client: Any, bucket: str, clock: Clock, patience: Patience, *, rest: Rest | None = None) -> None:
        """Without a `client` Google's own is made for the target of `rest` when it is first needed."""
        self.bucket = bucket
        self._given = client
        self._clock = clock
        self._patience = patience
        self._rest = rest
        self._lock = threading.RLock()

    @property
    def _client(self) -> Any:
        with self._lock:
            if self._given is None and self._rest is not None:
                self._given = _google_client(self._rest.target)
                if self._rest.target.api_endpoint:
                    self.ensure(self._rest.target.region)
                    for region, bucket in sorted(self._rest.target.buckets.items()):
                        Storage(self._given, bucket, self._clock, self._patience).ensure(region)
            return self._given

    @property
    def _bucket(self) -> Any:
        return self._client.bucket(self.bucket)

    def ensure(self, location: str) -> None:
        """Create the bucket if it is absent."""

        def create() -> None:
            if self._client.lookup_bucket(self.bucket, timeout=TIMEOUT, retry=None) is None:
                self._client.create_bucket(self.bucket, location=location, timeout=TIMEOUT, retry=None)

        try:
            self._try(create, f"creating bucket {self.bucket}")
        except Conflict:
            return

    def read(self, name: str) -> tuple[bytes, int]:
        """(content, generation) of an object, both of the same version. Raises NotFound."""

        def download() -> tuple[bytes, int]:
            blob = self._bucket.blob(name)
            content: bytes = blob.download_as_bytes(timeout=TIMEOUT, retry=None)
            return content, int(blob.generation)

        return self._try(download, f"reading gs://{self.bucket}/{name}")

    def write(
        self,
        name: str,
        content: bytes,
        *,
        generation: int | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> int:
        """Write an object and return its new generation.

        With `generation` only if the object still has that one (`ABSENT`: only if there is none); Conflict
        otherwise. Contents of racing writers must differ (a nonce): only the bytes tell, after an answer was lost,
        whether it was this write that won.
        """

        def upload() -> int:
            blob = self._bucket.blob(name)
            blob.metadata = dict(metadata or {}) or None
            blob.upload_from_string(
                content, content_type=content_type, if_generation_match=generation, timeout=TIMEOUT, retry=None
            )
            return int(blob.generation)

        try:
            return self._try(upload, f"writing gs://{self.bucket}/{name}")
        except LostAnswer as lost:
            # An attempt went unanswered, and the next one met another generation: perhaps our own.
            found, now = self.read(name)
            if found == content:
                return now
            raise Conflict(lost.message, status="FAILED_PRECONDITION", code=412) from lost

    def list(self, prefix: str) -> tuple[Listed, ...]:
        """All objects below a prefix, by name. A bucket that does not exist is a Terminal error with the way out.

        On the embedded Vertex AI it is an empty one: whoever writes first creates it.
        """
        doing = f"listing gs://{self.bucket}/{prefix}"
        try:
            if self._rest is None:
                return self._try(lambda: self._list_by_client(prefix), doing)
            return tuple(self._listed(self._rest, prefix, doing))
        except NotFound as error:
            if self._rest is not None and self._rest.target.api_endpoint and self._given is None:
                return ()
            raise self._missing(error) from error

    def _listed(self, rest: Rest, prefix: str, doing: str) -> Iterator[Listed]:
        token = ""
        while True:
            page = self._try(partial(rest.objects_page, self.bucket, prefix, _FIELDS, token, TIMEOUT), doing)
            yield from map(_from_json, page.get("items", ()))
            token = page.get("nextPageToken", "")
            if not token:
                return

    def _list_by_client(self, prefix: str) -> tuple[Listed, ...]:
        blobs = self._client.list_blobs(self.bucket, prefix=prefix, fields=_FIELDS, timeout=TIMEOUT, retry=None)
        return tuple(_from_blob(blob) for blob in blobs)

    def upload(self, path: Path, name: str, sha256: str = "") -> bool:
        """Upload a file under a name that tells its content; False when it is already there.

        A name once written is never written again. Raises LoraformError when the file cannot be read, or is no longer
        the one of the hash.
        """

        def send() -> bool:
            blob = self._bucket.blob(name)
            if blob.exists(timeout=TIMEOUT, retry=None):
                return False
            if sha256 and _sha256(path) != sha256:
                raise LoraformError(f"{path} was edited while apply was running", "Run the command again.")
            blob.upload_from_filename(str(path), if_generation_match=ABSENT, timeout=TIMEOUT, retry=None)
            return True

        try:
            return self._try(send, f"uploading {path} to gs://{self.bucket}/{name}")
        except (Conflict, LostAnswer):
            return False
        except NotFound as error:
            raise self._missing(error) from error
        except OSError as error:
            raise LoraformError(f"{path}: cannot be read: {error.strerror or error}") from error

    def delete(self, name: str, generation: int | None = None) -> None:
        """Delete an object, if it is there (and still has `generation`; Conflict otherwise)."""

        def remove() -> None:
            self._bucket.blob(name).delete(if_generation_match=generation, timeout=TIMEOUT, retry=None)

        try:
            self._try(remove, f"deleting gs://{self.bucket}/{name}")
        except NotFound:
            return
        except LostAnswer as lost:
            doing = f"looking for gs://{self.bucket}/{name}"
            if self._try(lambda: self._bucket.blob(name).exists(timeout=TIMEOUT, retry=None), doing):
                raise Conflict(lost.message, status="FAILED_PRECONDITION", code=412) from lost

    def _try(self, act: Callable[[], T], doing: str) -> T:
        return with_patience(act, "", doing, self._clock, self._patience)

    def _missing(self, error: NotFound) -> Terminal:
        return Terminal(
            f"the bucket gs://{self.bucket} does not exist",
            status=error.status,
            code=error.code,
            remedy=f"gcloud storage buckets create gs://{self.bucket} --location=REGION (the region of the target)",
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _google_client(target: Target) -> Any:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    try:
        if not target.api_endpoint:
            return storage.Client(project=target.project)
        options = {"api_endpoint": target.api_endpoint}
        return storage.Client(project=target.project, credentials=AnonymousCredentials(), client_options=options)
    except Exception as error:
        raise translate(error, "connecting to Cloud Storage") from error


def _from_json(item: Mapping[str, Any]) -> Listed:
    return Listed(
        item["name"],
        int(item.get("generation", 0)),
        datetime.fromisoformat(item["updated"]).timestamp() if "updated" in item else 0.0,
        int(item.get("size", 0)),
        item.get("metadata") or {},
    )


def _from_blob(blob: Any) -> Listed:
    updated = blob.updated.timestamp() if blob.updated else 0.0
    return Listed(blob.name, int(blob.generation or 0), updated, int(blob.size or 0), dict(blob.metadata or {}))
