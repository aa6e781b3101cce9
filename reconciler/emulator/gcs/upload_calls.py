"""Uploads over HTTP: media, multipart and resumable, all of them streamed to the disk as they come in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from reconciler.emulator.gcs.blobs import PIECE, Content
from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.gcs.checksums import Expected, expected, verify
from reconciler.emulator.gcs.errors import Json, StorageError, invalid, required
from reconciler.emulator.gcs.http import Reply, Request, parse_json, refuse_keys
from reconciler.emulator.gcs.related import Related
from reconciler.emulator.gcs.resources import merged, object_json, object_settings
from reconciler.emulator.gcs.sessions import Session, Sessions

_CHUNK = re.compile(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/(?:([0-9]{1,18})|\*)")

UNKNOWN_TYPE = "application/octet-stream"


async def upload(buckets: Buckets, sessions: Sessions, request: Request, bucket: str) -> Reply | Json:
    """Answer a request to an upload address: a whole object, the beginning of a session, or a chunk of one."""
    refuse_keys(request)
    if session := request.query.get("upload_id"):
        async with sessions.desk(session):
            return await _continue(buckets, sessions, request, sessions.find(session))
    if request.method not in {"POST", "PUT"}:
        raise StorageError(405, "methodNotAllowed", f"{request.method} needs an upload_id here.")
    kind = request.query.get("uploadType", "")
    if kind == "resumable":
        return await _start(sessions, request, bucket)
    if kind == "multipart":
        related = Related(request.headers.get("content-type", ""), request.body.pieces())
        metadata = parse_json(await related.metadata())
        return await _whole(buckets, request, bucket, metadata, related.media(), related.media_type)
    if kind == "media":
        media_type = request.headers.get("content-type", "")
        return await _whole(buckets, request, bucket, {}, request.body.pieces(), media_type)
    raise invalid(f"Invalid upload type: {kind!r}", "uploadType")


async def receive_content(buckets: Buckets, pieces: AsyncIterator[bytes], wanted: Expected) -> Content:
    """Stream bytes into a temporary file; 400, and no file left, where the checksums do not fit."""
    spool = buckets.blobs.spool()
    try:
        held = bytearray()
        async for piece in pieces:
            held += piece
            if len(held) >= PIECE:
                await asyncio.to_thread(spool.write, bytes(held))
                held.clear()
        spool.write(bytes(held))
        content = buckets.blobs.finish(spool)
        verify(content, wanted)
    except BaseException:
        spool.discard()
        raise
    return content


async def _whole(
    buckets: Buckets, request: Request, bucket: str, metadata: Json, media: AsyncIterator[bytes], media_type: str
) -> Json:
    """Receive an object in one request."""
    name, settings = _target(request, metadata, media_type)
    conditions = request.conditions()
    buckets.check(bucket, name, conditions)
    content = await receive_content(buckets, media, expected(request.headers, metadata))
    try:
        item = await asyncio.to_thread(buckets.commit, bucket, name, content, settings, conditions)
    finally:
        content.path.unlink(missing_ok=True)
    return object_json(item, request.base)


async def _start(sessions: Sessions, request: Request, bucket: str) -> Reply:
    """Begin a session: its address is in the `Location` header."""
    metadata = await request.json()
    name, settings = _target(request, metadata, request.headers.get("x-upload-content-type", ""))
    wanted = expected(request.headers, metadata)
    session = await asyncio.to_thread(sessions.start, bucket, name, settings, request.conditions(), wanted)
    where = f"{request.base}/upload/storage/v1/b/{quote(bucket, safe='')}/o?uploadType=resumable&upload_id={session.id}"
    return Reply(200, b"", (("location", where), ("x-guploader-uploadid", session.id)))


async def _continue(buckets: Buckets, sessions: Sessions, request: Request, session: Session) -> Reply | Json:
    """Take a chunk, answer how far the upload is, or forget it."""
    if request.method == "DELETE":
        await asyncio.to_thread(sessions.cancel, session)
        return Reply(499)
    if session.generation:
        return object_json(buckets.get(session.bucket, session.name, session.generation), request.base)
    start, end, last = _chunk(request)
    size = await asyncio.to_thread(sessions.size, session)
    if start is not None:
        if start > size:
            where = f"the upload offset is {start} byte(s), which exceeds already uploaded size of {size} byte(s)."
            raise StorageError(503, "backendError", f"Invalid request.  According to the Content-Range header, {where}")
        await sessions.append(session, size - start, request.body.pieces(), last)
        size = sessions.size(session)
        if end is not None and end + 1 == last and size < end + 1:
            raise invalid(f"The upload ends at byte {size}, its Content-Range header says {last}.")
    if size == last:
        item = await asyncio.to_thread(sessions.complete, session, expected(request.headers, {}))
        return object_json(item, request.base)
    reached = (("range", f"bytes=0-{size - 1}"),) if size else ()
    return Reply(308, b"", (*reached, ("x-guploader-uploadid", session.id)))


def _chunk(request: Request) -> tuple[int | None, int | None, int | None]:
    """Return a chunk's first byte, last byte and the size of the whole; no first byte in a question for progress."""
    header = request.headers.get("content-range")
    if header is None:
        length = request.headers.get("content-length", "")
        size = int(length) if length.isdigit() else None
        return 0, None, size
    found = _CHUNK.fullmatch(header.strip())
    if not found:
        raise invalid(f"Failed to parse Content-Range header: {header!r}")
    start, end, last = (None if text is None else int(text) for text in found.groups())
    if start is not None and end is not None and (end < start or (last is not None and end >= last)):
        raise invalid(f"Failed to parse Content-Range header: {header!r}")
    return start, end, last


def _target(request: Request, metadata: Json, media_type: str) -> tuple[str, dict[str, object]]:
    """Return the name and the settings of the object to write."""
    name = request.query.get("name") or metadata.get("name")
    if not isinstance(name, str):
        raise required("Required object name is missing.", "name")
    settings = merged({}, object_settings(metadata))
    settings.setdefault("contentType", media_type or UNKNOWN_TYPE)
    if "contentEncoding" in request.query:
        settings["contentEncoding"] = request.query["contentEncoding"]
    return name, settings
