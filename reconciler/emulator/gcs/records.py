"""The values that a bucket store consists of: buckets, objects, preconditions. No I/O and no wire format.

Times are integers, microseconds since 1970 in UTC. `settings` holds what a client may write (content type, custom
metadata, labels ...) under Google's own JSON names.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from reconciler.emulator.gcs.errors import condition_not_met, not_modified

Settings = Mapping[str, object]
Clock = Callable[[], datetime]

EMPTY: Settings = MappingProxyType({})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket. `policy` is its IAM policy with bindings only; `policy_revision` counts its changes from 1.

    A soft-deleted one was `buried` then and is kept `until` then; both are 0 for one that is there.
    """

    name: str
    project: str
    project_number: str
    generation: int
    metageneration: int
    created: int
    updated: int
    settings: Settings = field(default_factory=dict)
    policy: Settings = field(default_factory=dict)
    policy_revision: int = 1
    buried: int = 0
    until: int = 0

    @property
    def versioned(self) -> bool:
        """Whether an overwritten or deleted object is kept as a noncurrent version."""
        versioning = self.settings.get("versioning")
        return isinstance(versioning, Mapping) and versioning.get("enabled") is True


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One version of an object. `blob` names its bytes on disk; `deleted` is 0 while it is the live version.

    `crc32c` and `md5` are base64 as on the wire; a composed object has no md5 but a number of `components`.
    `retention_s` is what the bucket's retention policy says now. `buried` and `until` are as in a bucket.
    """

    bucket: str
    name: str
    generation: int = 0
    metageneration: int = 1
    blob: str = ""
    size: int = 0
    crc32c: str = ""
    md5: str = ""
    components: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    settings: Settings = field(default_factory=dict)
    retention_s: int = 0
    buried: int = 0
    until: int = 0


@dataclass(frozen=True, slots=True)
class Conditions:
    """Google's four preconditions, `None` where not asked for. A generation of 0 means "there is no live object".

    `etags` and `other_etags` are the headers `If-Match` and `If-None-Match`, split; empty where they are not there.
    """

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None
    etags: tuple[str, ...] = ()
    other_etags: tuple[str, ...] = ()

    def check_write(self, generation: int, metageneration: int) -> None:
        """Raise 412 unless a write may go ahead; both arguments are 0 where nothing is there."""
        if self._match_fails(generation, metageneration) or self._not_match_fails(generation, metageneration):
            raise condition_not_met()

    def check_read(self, generation: int, metageneration: int) -> None:
        """Raise 412 where a match fails and 304 where a not-match fails."""
        if self._match_fails(generation, metageneration):
            raise condition_not_met()
        if self._not_match_fails(generation, metageneration):
            raise not_modified()

    def _match_fails(self, generation: int, metageneration: int) -> bool:
        return (
            (self.generation_match is not None and self.generation_match != generation)
            or (self.metageneration_match is not None and self.metageneration_match != metageneration)
            or (bool(self.etags) and _etags(generation, metageneration).isdisjoint(self.etags))
        )

    def _not_match_fails(self, generation: int, metageneration: int) -> bool:
        return (
            (self.generation_not_match is not None and self.generation_not_match == generation)
            or (self.metageneration_not_match is not None and self.metageneration_not_match == metageneration)
            or not _etags(generation, metageneration).isdisjoint(self.other_etags)
        )


ANY = Conditions()
ABSENT = Conditions(generation_match=0)


def microseconds(moment: datetime) -> int:
    """Return `moment` (aware) as microseconds since 1970."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def timestamp(moment: int) -> str:
    """Return a time in microseconds as on the wire, to the millisecond."""
    return (_EPOCH + timedelta(microseconds=moment)).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def etag(*numbers: int) -> str:
    """Return an entity tag as Google makes them: a tiny proto message of the numbers, in base64."""
    raw = bytearray()
    for place, number in enumerate(numbers, start=1):
        raw.append(place << 3)
        while number > 0x7F:
            raw.append(number & 0x7F | 0x80)
            number >>= 7
        raw.append(number)
    return base64.b64encode(raw).decode()


def _etags(generation: int, metageneration: int) -> frozenset[str]:
    """What `If-Match` may say of an object, or of a bucket, that is there."""
    return frozenset({"*", etag(generation, metageneration), etag(metageneration)} if metageneration else ())
