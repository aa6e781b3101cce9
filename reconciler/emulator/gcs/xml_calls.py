"""The XML API's addresses, `/BUCKET/OBJECT`: as much as Google's client libraries use beside the JSON API.

That is: reading, writing and deleting an object, and uploads in parts, which `transfer_manager` sends concurrently.
Refusals are XML documents here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from xml.etree import ElementTree

from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.gcs.checksums import expected
from reconciler.emulator.gcs.errors import StorageError, invalid, not_implemented
from reconciler.emulator.gcs.http import Reply, Request, refuse_keys
from reconciler.emulator.gcs.media import download
from reconciler.emulator.gcs.parts import Parts, part_etag
from reconciler.emulator.gcs.records import Conditions
from reconciler.emulator.gcs.upload_calls import UNKNOWN_TYPE, receive_content

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_CODES = {
    400: "InvalidArgument",
    403: "AccessDenied",
    404: "NoSuchKey",
    412: "PreconditionFailed",
    501: "NotImplemented",
}
_TOLD = {
    "cache-control": "cacheControl", "content-disposition": "contentDisposition", "content-encoding": "contentEncoding",
    "content-language": "contentLanguage", "x-goog-custom-time": "customTime", "x-goog-storage-class": "storageClass",
}  # fmt: skip


async def answer_xml(buckets: Buckets, parts: Parts, request: Request, bucket: str, name: str) -> Reply:
    """Answer a request to an object's own address."""
    try:
        return await _answer(buckets, parts, request, bucket, name)
    except StorageError as error:
        return Reply(304) if error.status == 304 else xml_refusal(error)


def xml_refusal(error: StorageError) -> Reply:
    """Return a refusal as an XML document."""
    code = "NoSuchBucket" if "bucket does not exist" in error.message else _CODES.get(error.status, "InvalidRequest")
    return _document("Error", {"Code": code, "Message": error.message}, error.status)


async def _answer(buckets: Buckets, parts: Parts, request: Request, bucket: str, name: str) -> Reply:
    upload = request.query.get("uploadId")
    refuse_keys(request)
    match request.method:
        case "GET" | "HEAD" if upload is None:
            return download(buckets, request, bucket, name)
        case "POST" if "uploads" in request.query:
            started = await asyncio.to_thread(parts.start, bucket, name, _settings(request.headers))
            told = {"Bucket": bucket, "Key": name, "UploadId": started}
            return _document("InitiateMultipartUploadResult", told)
        case "PUT" if upload is not None:
            return await _put_part(buckets, parts, request, upload, bucket, name)
        case "POST" if upload is not None:
            wanted = _read_list(await request.body.all())
            item = await asyncio.to_thread(parts.complete, upload, bucket, name, wanted)
            told = {"Bucket": bucket, "Key": name, "ETag": f'"{item.crc32c}"', "Location": f"{request.base}/{bucket}"}
            return _document("CompleteMultipartUploadResult", told)
        case "DELETE" if upload is not None:
            await asyncio.to_thread(parts.cancel, upload, bucket, name)
            return Reply(204)
        case "PUT":
            return await _put(buckets, request, bucket, name)
        case "DELETE":
            await asyncio.to_thread(buckets.delete, bucket, name, request.number("generation"), _conditions(request))
            return Reply(204)
        case _:
            raise not_implemented(f"{request.method} of the XML API")


async def _put_part(buckets: Buckets, parts: Parts, request: Request, upload: str, bucket: str, name: str) -> Reply:
    content = await receive_content(buckets, request.body.pieces(), expected(request.headers, {}))
    try:
        await asyncio.to_thread(parts.put, upload, bucket, name, request.number("partNumber") or 0, content)
    except BaseException:
        content.path.unlink(missing_ok=True)
        raise
    hashes = f"crc32c={content.crc32c},md5={content.md5}"
    return Reply(200, b"", (("etag", part_etag(content.md5)), ("x-goog-hash", hashes)))


async def _put(buckets: Buckets, request: Request, bucket: str, name: str) -> Reply:
    content = await receive_content(buckets, request.body.pieces(), expected(request.headers, {}))
    try:
        item = await asyncio.to_thread(
            buckets.commit, bucket, name, content, _settings(request.headers), _conditions(request)
        )
    finally:
        content.path.unlink(missing_ok=True)
    hashes = f"crc32c={content.crc32c},md5={content.md5}"
    told = (("x-goog-generation", str(item.generation)), ("x-goog-metageneration", "1"), ("x-goog-hash", hashes))
    return Reply(200, b"", (("etag", part_etag(content.md5)), *told))


def _settings(headers: Mapping[str, str]) -> dict[str, object]:
    """Return an object's settings from the headers that carry them."""
    found: dict[str, object] = {"contentType": headers.get("content-type") or UNKNOWN_TYPE}
    found |= {field: headers[name] for name, field in _TOLD.items() if name in headers}
    custom = {name.removeprefix("x-goog-meta-"): value for name, value in headers.items() if "x-goog-meta-" in name}
    return found | ({"metadata": custom} if custom else {})


def _conditions(request: Request) -> Conditions:
    def number(name: str) -> int | None:
        text = request.headers.get(f"x-goog-if-{name}-match")
        if text is None:
            return None
        if not re.fullmatch("[0-9]{1,18}", text):
            raise invalid(f"Invalid x-goog-if-{name}-match: {text!r}")
        return int(text)

    return Conditions(generation_match=number("generation"), metageneration_match=number("metageneration"))


def _read_list(raw: bytes) -> list[tuple[int, str]]:
    """Return the (number, etag) of the parts that make up the whole."""
    try:
        root = ElementTree.fromstring(raw)
        found = [(part.findtext("{*}PartNumber") or "", part.findtext("{*}ETag") or "") for part in root.iter()]
        return [(int(number), f'"{etag.strip(chr(34))}"') for number, etag in found if number]
    except (ElementTree.ParseError, ValueError) as error:
        raise invalid("The XML you provided was not well-formed or did not validate against our schema.") from error


def _document(name: str, fields: Mapping[str, str], status: int = 200) -> Reply:
    root = ElementTree.Element(name, {} if name == "Error" else {"xmlns": NAMESPACE})
    for field, value in fields.items():
        ElementTree.SubElement(root, field).text = value
    text = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return Reply(status, text, (("content-type", "application/xml; charset=UTF-8"),))
