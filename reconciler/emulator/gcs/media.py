"""Downloads: `alt=media` under both of its addresses, with ranges, read preconditions and transparent unzipping.

As on Google, a refusal of a download is plain text, not JSON; clients show it as it comes.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncGenerator
from typing import BinaryIO

from reconciler.emulator.gcs.blobs import PIECE
from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.gcs.errors import StorageError
from reconciler.emulator.gcs.http import Reply, Request, refuse_keys
from reconciler.emulator.gcs.records import StoredObject, etag

AT_ONCE = 1 << 18
"""Bytes up to which a body is read without leaving the event loop: cheaper than a change of threads."""

_HUMP = re.compile("([A-Z])")
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def download(buckets: Buckets, request: Request, bucket: str, name: str) -> Reply:
    """`objects.get` with `alt=media`: the bytes, or the range of them that was asked for."""
    refuse_keys(request)
    try:
        item, file = buckets.open(bucket, name, request.number("generation"), request.conditions())
    except StorageError as error:
        text = () if error.status == 304 else (("content-type", "text/html; charset=UTF-8"),)
        return Reply(error.status, b"" if error.status == 304 else error.message.encode(), text)
    headers = object_headers(item)
    if _unzips(item, request):
        plain = tuple(header for header in headers if header[0] != "content-encoding")
        return Reply(200, b"", plain, _unzipped(file))
    status, start, end = _range(request.headers.get("range", ""), item.size)
    if status == 416:
        file.close()
        return Reply(416, b"Request range not satisfiable", (("content-range", f"bytes */{item.size}"),))
    headers = (*headers, ("content-length", str(end - start)), ("accept-ranges", "bytes"))
    if status == 206:
        headers = (*headers, ("content-range", f"bytes {start}-{end - 1}/{item.size}"))
    if end - start > AT_ONCE:
        return Reply(status, b"", headers, _pieces(file, start, end))
    with file:
        file.seek(start)
        return Reply(status, file.read(end - start), headers)


def object_headers(item: StoredObject) -> tuple[tuple[str, str], ...]:
    """Return the headers that tell about an object beside its bytes."""
    given = item.settings
    hashes = f"crc32c={item.crc32c}" + (f",md5={item.md5}" if item.md5 else "")
    headers = [
        ("content-type", str(given.get("contentType", "application/octet-stream"))),
        ("etag", etag(item.generation, item.metageneration)),
        ("x-goog-generation", str(item.generation)),
        ("x-goog-metageneration", str(item.metageneration)),
        ("x-goog-hash", hashes),
        ("x-goog-storage-class", str(given.get("storageClass", "STANDARD"))),
        ("x-goog-stored-content-encoding", str(given.get("contentEncoding", "identity"))),
        ("x-goog-stored-content-length", str(item.size)),
    ]
    told = ("cacheControl", "contentDisposition", "contentEncoding", "contentLanguage")
    headers += [(_HUMP.sub(r"-\1", field).lower(), str(given[field])) for field in told if field in given]
    return tuple(headers)


def _range(header: str, size: int) -> tuple[int, int, int]:
    """Return the status and the bytes from start to end (exclusive); a range that cannot be read is ignored."""
    found = _RANGE.fullmatch(header.replace(" ", ""))
    if not found or found.groups() == ("", ""):
        return 200, 0, size
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < start:
            return 200, 0, size
    return (206, start, end) if start < end else (416, 0, 0)


async def _pieces(file: BinaryIO, start: int, end: int) -> AsyncGenerator[bytes, None]:
    with file:
        file.seek(start)
        while start < end:
            piece = await asyncio.to_thread(file.read, min(PIECE, end - start))
            if not piece:
                raise OSError(f"{file.name} is shorter than its record says")
            start += len(piece)
            yield piece


def _unzips(item: StoredObject, request: Request) -> bool:
    """Google unzips what is stored zipped for a client that does not take it zipped."""
    return (
        item.settings.get("contentEncoding") == "gzip"
        and "gzip" not in request.headers.get("accept-encoding", "")
        and "no-transform" not in str(item.settings.get("cacheControl", ""))
    )


async def _unzipped(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    inflater = zlib.decompressobj(wbits=31)
    with file:
        while piece := await asyncio.to_thread(file.read, AT_ONCE):
            while piece:
                yield inflater.decompress(piece, PIECE)
                piece = inflater.unconsumed_tail
    yield inflater.flush()
