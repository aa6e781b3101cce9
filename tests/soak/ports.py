"""What the reconciler takes for Google's clients: its requests go to the imagined cloud, through an actor."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from reconciler.cloud.errors import from_answer
from reconciler.emulator.gcs.errors import StorageError
from reconciler.emulator.gcs.listing import Query
from reconciler.emulator.gcs.records import Conditions, StoredObject
from reconciler.emulator.wire.codec import message_class
from reconciler.emulator.wire.errors import ApiError
from tests.soak.actors import Actor, Request
from tests.soak.cloud import Cloud

_READS = ("Get", "List")
_PAGED = ("ListCustomJobs", "ListHyperparameterTuningJobs", "ListModels", "ListModelVersions", "ListEndpoints")


@dataclass(frozen=True, slots=True)
class VertexPort:
    """In the place of one of Google's service clients, as far as `cloud.vertex` uses them."""

    cloud: Cloud
    actor: Actor
    service: str

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = "".join(word.capitalize() for word in name.split("_"))
        return lambda request, **_: self._ask(method, request)

    def _ask(self, method: str, request: Any) -> Any:
        service = "Operations" if method.endswith(("GetOperation", "ListOperations")) else self.service
        if isinstance(request, Mapping):
            message = message_class(f"google.longrunning.{method}Request")(**request)
        else:
            message = type(request).pb(request).__deepcopy__()
        full = f"{service}.{method}"

        def act() -> Any:
            try:
                return self.cloud.perform(full, message, self.actor.stale)
            except ApiError as error:
                raise from_answer(error.http_code, error.status, error.message, method) from None

        mutates = not method.startswith(_READS)
        answer = self.actor.ask(Request(full, act, mutates=mutates, method=method, message=message))
        return SimpleNamespace(pages=iter([answer])) if method in _PAGED else answer


@dataclass(slots=True)
class Blob:
    """In the place of Google's `Blob`, as far as `cloud.storage` uses it."""

    bucket: BucketPort
    name: str
    generation: int | None = None
    metadata: Mapping[str, str] | None = None
    updated: datetime | None = None
    size: int = 0

    def download_as_bytes(self, **_: Any) -> bytes:
        def act() -> tuple[bytes, int]:
            found, file = self.bucket.cloud.buckets.open(self.bucket.name, self.name)
            with file:
                return file.read(), found.generation

        content, self.generation = self.bucket.ask("read", self.name, act)
        return bytes(content)

    def upload_from_string(self, content: bytes, *, if_generation_match: int | None = None, **_: Any) -> None:
        settings = {"metadata": dict(self.metadata)} if self.metadata else {}
        conditions = Conditions(generation_match=if_generation_match)

        def act() -> StoredObject:
            return self.bucket.cloud.buckets.put(self.bucket.name, self.name, content, settings, conditions)

        self.generation = self.bucket.ask("write", self.name, act, mutates=True).generation

    def exists(self, **_: Any) -> bool:
        def act() -> bool:
            try:
                self.bucket.cloud.buckets.get(self.bucket.name, self.name)
            except StorageError:
                return False
            return True

        return bool(self.bucket.ask("look for", self.name, act))

    def delete(self, *, if_generation_match: int | None = None, **_: Any) -> None:
        conditions = Conditions(generation_match=if_generation_match)

        def act() -> None:
            self.bucket.cloud.buckets.delete(self.bucket.name, self.name, conditions=conditions)

        self.bucket.ask("delete", self.name, act, mutates=True)


@dataclass(frozen=True, slots=True)
class BucketPort:
    """In the place of Google's `Bucket`."""

    cloud: Cloud
    actor: Actor
    name: str

    def blob(self, name: str) -> Blob:
        return Blob(self, name)

    def ask(self, verb: str, name: str, act: Callable[[], Any], *, mutates: bool = False) -> Any:
        def translated() -> Any:
            try:
                return act()
            except StorageError as error:
                raise from_answer(error.status, "", error.message, verb) from None

        return self.actor.ask(Request(f"{verb} {_short(name)}", translated, mutates=mutates, name=name))


@dataclass(frozen=True, slots=True)
class StoragePort:
    """In the place of Google's storage `Client`."""

    cloud: Cloud
    actor: Actor
    limit: int = field(default=1000)

    def bucket(self, name: str) -> BucketPort:
        return BucketPort(self.cloud, self.actor, name)

    def list_blobs(self, name: str, *, prefix: str, **_: Any) -> Iterator[Blob]:
        bucket = self.bucket(name)

        def act() -> list[Blob]:
            page = self.cloud.buckets.list_objects(name, Query(prefix=prefix, limit=self.limit))
            return [_listed(bucket, item) for item in page.items]

        return iter(bucket.ask("list", prefix, act))


def _listed(bucket: BucketPort, item: StoredObject) -> Blob:
    metadata = item.settings.get("metadata")
    return Blob(
        bucket,
        item.name,
        item.generation,
        metadata if isinstance(metadata, Mapping) else {},
        datetime.fromtimestamp(item.updated / 1e6, UTC),
        item.size,
    )


def _short(name: str) -> str:
    return re.sub(r"[0-9a-f]{20,64}", lambda found: found[0][:8], name.partition("/")[2].partition("/")[2])
