"""The JSON API's calls on objects, but for those that carry bytes: what they read from a request, what they answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from reconciler.emulator.gcs import derived
from reconciler.emulator.gcs.bucket_calls import generation_of
from reconciler.emulator.gcs.buckets import Buckets, Change
from reconciler.emulator.gcs.errors import Json, invalid, required
from reconciler.emulator.gcs.fields import names_below
from reconciler.emulator.gcs.http import Request
from reconciler.emulator.gcs.listing import PAGE, Query
from reconciler.emulator.gcs.names import check_object_name
from reconciler.emulator.gcs.records import ANY, Conditions, Settings
from reconciler.emulator.gcs.recovery import deleted_object, list_deleted, restore_object
from reconciler.emulator.gcs.resources import merged, object_json, object_settings
from reconciler.emulator.gcs.versions import Source

MOST_COMPONENTS = 32
"""Sources of one compose."""


def list_objects(buckets: Buckets, request: Request, bucket: str) -> Json:
    """`objects.list`."""
    query = request.query
    limit = request.number("maxResults")
    listed = list_deleted if request.flag("softDeleted") else Buckets.list_objects
    page = listed(
        buckets,
        bucket,
        Query(
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter", ""),
            trailing=request.flag("includeTrailingDelimiter"),
            start=query.get("startOffset", ""),
            end=query.get("endOffset", ""),
            glob=query.get("matchGlob", ""),
            versions=request.flag("versions"),
            limit=min(limit or PAGE, PAGE),
            token=query.get("pageToken", ""),
        ),
    )
    shown: Json = {"kind": "storage#objects"}
    if page.token:
        shown["nextPageToken"] = page.token
    if page.prefixes:
        shown["prefixes"] = list(page.prefixes)
    if page.items:
        only = names_below("items", query.get("fields", ""))
        shown["items"] = [object_json(item, request.base, only) for item in page.items]
    return shown


def get_object(buckets: Buckets, request: Request, bucket: str, name: str) -> Json:
    """`objects.get` without `alt=media`, of a soft-deleted one where it is asked for."""
    if request.flag("softDeleted"):
        return object_json(deleted_object(buckets, bucket, name, generation_of(request)), request.base)
    found = buckets.get(bucket, name, request.number("generation"), request.conditions())
    return object_json(found, request.base)


def patch_object(buckets: Buckets, request: Request, bucket: str, name: str, body: Json) -> Json:
    """`objects.patch`: the given fields change."""
    patch = object_settings(body)
    return _change(buckets, request, bucket, name, lambda old: merged(old, patch))


def update_object(buckets: Buckets, request: Request, bucket: str, name: str, body: Json) -> Json:
    """`objects.update`: all that may be written is replaced."""
    settings = merged({}, object_settings(body))
    return _change(buckets, request, bucket, name, lambda _: settings)


def delete_object(buckets: Buckets, request: Request, bucket: str, name: str) -> None:
    """`objects.delete`."""
    buckets.delete(bucket, name, request.number("generation"), request.conditions())


def restore(buckets: Buckets, request: Request, bucket: str, name: str) -> Json:
    """`objects.restore`."""
    new = restore_object(buckets, bucket, name, generation_of(request), request.conditions())
    return object_json(new, request.base)


def copy_object(
    buckets: Buckets, request: Request, source: tuple[str, str], target: tuple[str, str], body: Json
) -> Json:
    """`objects.copy`: settings in the body replace those of the source as a whole."""
    given = merged({}, object_settings(body))
    conditions = request.conditions()
    new = derived.copy(buckets, _source(request, *source), *target, lambda old: given or _as_new(old), conditions)
    return object_json(new, request.base)


def rewrite_object(
    buckets: Buckets, request: Request, source: tuple[str, str], target: tuple[str, str], body: Json
) -> Json:
    """`objects.rewrite`, always done in one call."""
    new = copy_object(buckets, request, source, target, body)
    size = new["size"]
    return {
        "kind": "storage#rewriteResponse",
        "totalBytesRewritten": size,
        "objectSize": size,
        "done": True,
        "resource": new,
    }


def move_object(buckets: Buckets, request: Request, bucket: str, name: str, target: str) -> Json:
    """`objects.move`."""
    new = derived.move(buckets, _source(request, bucket, name), target, request.conditions())
    return object_json(new, request.base)


def compose_object(buckets: Buckets, request: Request, bucket: str, name: str, body: Json) -> Json:
    """`objects.compose`."""
    sources = body.get("sourceObjects")
    if not isinstance(sources, list) or not sources:
        raise required("You must provide at least one source component.")
    if len(sources) > MOST_COMPONENTS:
        raise invalid(f"The number of source components provided ({len(sources)}) exceeds the maximum (32)")
    destination = body.get("destination")
    settings = merged({}, object_settings(destination if isinstance(destination, dict) else {}))
    parts = [_component(bucket, source) for source in sources]
    new = derived.compose(buckets, parts, bucket, name, settings, request.conditions())
    if body.get("deleteSourceObjects") is True:
        for part in parts:
            buckets.delete(part.bucket, part.name, part.generation)
    return object_json(new, request.base)


def _change(buckets: Buckets, request: Request, bucket: str, name: str, change: Change) -> Json:
    override = request.flag("overrideUnlockedRetention")
    version, conditions = request.number("generation"), request.conditions()
    new = buckets.change(bucket, name, change, version, conditions, override=override)
    return object_json(new, request.base)


def _source(request: Request, bucket: str, name: str) -> Source:
    return Source(bucket, name, request.number("sourceGeneration"), request.conditions("ifSource"))


def _as_new(old: Settings) -> Settings:
    return {name: value for name, value in old.items() if name not in {"temporaryHold", "eventBasedHold", "retention"}}


def _component(bucket: str, source: object) -> Source:
    if not isinstance(source, Mapping) or not isinstance(source.get("name"), str):
        raise required("Required source object name is missing.")
    check_object_name(source["name"])
    found = Source(bucket, source["name"], _whole(source.get("generation"), "generation"), ANY)
    conditions = source.get("objectPreconditions")
    if isinstance(conditions, Mapping):
        match = _whole(conditions.get("ifGenerationMatch"), "ifGenerationMatch")
        found = replace(found, conditions=Conditions(generation_match=match))
    return found


def _whole(value: object, name: str) -> int | None:
    """Return an int64 of a JSON body: a number, or its digits as a text."""
    if value is None:
        return None
    text = str(value)
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise invalid(f"Invalid value for field {name}: {value!r}")
    return int(text)
