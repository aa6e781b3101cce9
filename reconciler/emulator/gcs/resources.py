"""Buckets and objects as Google's JSON resources, and what of such a resource a client may write.

Decides names, types and defaults on the wire. Unknown and output-only fields in a request are ignored, as Google does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from urllib.parse import quote

from reconciler.emulator.gcs.bucket_changes import completed
from reconciler.emulator.gcs.errors import Json, invalid, not_implemented
from reconciler.emulator.gcs.keeping import kept_until
from reconciler.emulator.gcs.records import Bucket, Settings, StoredObject, etag, timestamp

_OBJECT_TEXTS = (
    "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "contentType", "customTime",
    "kmsKeyName", "storageClass",
)  # fmt: skip
_OBJECT_FLAGS = ("eventBasedHold", "temporaryHold")
_OBJECT_MAPS = ("contexts", "retention")
_BUCKET_TEXTS = ("location", "rpo", "storageClass")
_BUCKET_FLAGS = ("defaultEventBasedHold",)
_BUCKET_MAPS = (
    "autoclass", "billing", "customPlacementConfig", "encryption", "hierarchicalNamespace", "iamConfiguration",
    "ipFilter", "lifecycle", "logging", "retentionPolicy", "softDeletePolicy", "versioning",
    "website",
)  # fmt: skip
_ALWAYS: Mapping[str, Callable[[StoredObject, str], object]] = {
    "kind": lambda item, base: "storage#object",
    "id": lambda item, base: f"{item.bucket}/{item.name}/{item.generation}",
    "selfLink": lambda item, base: f"{base}/storage/v1/{_where(item)}",
    "mediaLink": lambda item, base: f"{base}/download/storage/v1/{_where(item)}?generation={item.generation}&alt=media",
    "name": lambda item, base: item.name,
    "bucket": lambda item, base: item.bucket,
    "generation": lambda item, base: str(item.generation),
    "metageneration": lambda item, base: str(item.metageneration),
    "storageClass": lambda item, base: "STANDARD",
    "size": lambda item, base: str(item.size),
    "crc32c": lambda item, base: item.crc32c,
    "etag": lambda item, base: etag(item.generation, item.metageneration),
    "timeCreated": lambda item, base: timestamp(item.created),
    "updated": lambda item, base: timestamp(item.updated),
    "timeStorageClassUpdated": lambda item, base: timestamp(item.created),
    "timeFinalized": lambda item, base: timestamp(item.created),
}
"""What every object shows; a setting of the same name counts instead."""
_MULTI_REGIONS = ("ASIA", "EU", "US")
_DUAL_REGIONS = ("ASIA1", "EUR4", "EUR5", "EUR7", "EUR8", "NAM4")


def object_settings(body: Json) -> dict[str, object]:
    """Return what a client may write of an object, checked; a field that is null stays null, to be deleted."""
    if body.get("kmsKeyName"):
        raise not_implemented("customer-managed encryption keys")
    found = _typed(body, _OBJECT_TEXTS, _OBJECT_FLAGS, _OBJECT_MAPS)
    if "metadata" in body:
        found["metadata"] = _texts(body["metadata"], "metadata")
    return found


def bucket_settings(body: Json) -> dict[str, object]:
    """Return what a client may write of a bucket, checked; a field that is null stays null, to be deleted."""
    found = _typed(body, _BUCKET_TEXTS, _BUCKET_FLAGS, _BUCKET_MAPS)
    encryption = found.get("encryption")
    if isinstance(encryption, dict) and encryption.get("defaultKmsKeyName"):
        raise not_implemented("customer-managed encryption keys")
    if isinstance(policy := found.get("retentionPolicy"), dict):
        found["retentionPolicy"] = {name: value for name, value in policy.items() if name != "isLocked"}
    if isinstance(location := found.get("location"), str):
        found["location"] = location.upper()
    if "labels" in body:
        found["labels"] = _texts(body["labels"], "labels")
    if "cors" in body:
        found["cors"] = body["cors"]
    return found


def merged(old: Settings, patch: Settings) -> dict[str, object]:
    """Return `old` patched: null deletes, a map is merged key by key, everything else replaces."""
    new = dict(old)
    for name, value in patch.items():
        before = new.get(name)
        if value is None:
            new.pop(name, None)
        elif isinstance(value, Mapping):
            new[name] = merged(before if isinstance(before, Mapping) else {}, value)
        else:
            new[name] = value
    dropped = {"metadata", "labels", "retention"}
    return {name: value for name, value in new.items() if value != {} or name not in dropped}


def object_json(item: StoredObject, base: str, only: Collection[str] = ()) -> Json:
    """Return an object as Google's resource; `base` is this server's address as the client named it.

    With `only` just the fields of these names: a listing has a thousand objects, and who asks for little waits less.
    """
    shown: Json = {name: show(item, base) for name, show in _ALWAYS.items() if not only or name in only}
    if item.md5:
        shown["md5Hash"] = item.md5
    if item.components:
        shown["componentCount"] = item.components
    if item.deleted:
        shown["timeDeleted"] = timestamp(item.deleted)
    if item.buried:
        shown |= {"softDeleteTime": timestamp(item.buried), "hardDeleteTime": timestamp(item.until)}
    elif kept_until(item) and item.settings.get("eventBasedHold") is not True:
        shown["retentionExpirationTime"] = timestamp(kept_until(item))
    shown |= item.settings
    return {name: value for name, value in shown.items() if name in only} if only else shown


def bucket_json(bucket: Bucket, base: str) -> Json:
    """Return a bucket as Google's resource; `base` is this server's address as the client named it."""
    location = str(bucket.settings.get("location", "US"))
    kind = "dual-region" if bucket.settings.get("customPlacementConfig") else _location_type(location)
    shown: Json = {
        "kind": "storage#bucket",
        "id": bucket.name,
        "selfLink": f"{base}/storage/v1/b/{bucket.name}",
        "name": bucket.name,
        "projectNumber": bucket.project_number,
        "generation": str(bucket.generation),
        "metageneration": str(bucket.metageneration),
        "locationType": kind,
        "storageClass": "STANDARD",
        "etag": etag(bucket.metageneration),
        "timeCreated": timestamp(bucket.created),
        "updated": timestamp(bucket.updated),
    }
    shown |= completed({}, {}, 0)
    if kind != "region":
        shown["rpo"] = "DEFAULT"
    if bucket.buried:
        shown |= {"softDeleteTime": timestamp(bucket.buried), "hardDeleteTime": timestamp(bucket.until)}
    return shown | dict(bucket.settings)


def _typed(body: Json, texts: tuple[str, ...], flags: tuple[str, ...], maps: tuple[str, ...]) -> dict[str, object]:
    found: dict[str, object] = {}
    for names, kind in ((texts, str), (flags, bool), (maps, dict)):
        for name in names:
            if name in body:
                value = body[name]
                if value is not None and not isinstance(value, kind):
                    raise invalid(f"Invalid value for field {name}: {value!r}")
                found[name] = value
    return found


def _texts(value: object, name: str) -> dict[str, str | None] | None:
    """Return a map of texts; numbers and booleans become texts, as Google's parser makes them."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise invalid(f"Invalid value for field {name}: {value!r}")
    found: dict[str, str | None] = {}
    for key, one in value.items():
        if isinstance(one, dict | list):
            raise invalid(f"Invalid value for field {name}.{key}: {one!r}")
        found[key] = str(one).lower() if isinstance(one, bool) else None if one is None else str(one)
    return found


def _where(item: StoredObject) -> str:
    return f"b/{quote(item.bucket, safe='')}/o/{quote(item.name, safe='')}"


def _location_type(location: str) -> str:
    if location in _MULTI_REGIONS:
        return "multi-region"
    return "dual-region" if location in _DUAL_REGIONS or "+" in location else "region"
