"""Checksums that a client sends along, and the refusal where the bytes do not fit them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.emulator.gcs.blobs import Content
from reconciler.emulator.gcs.errors import Json, invalid


@dataclass(frozen=True, slots=True)
class Expected:
    """What the bytes must amount to, each in base64; empty where the client does not say."""

    crc32c: str = ""
    md5: str = ""


def expected(headers: Mapping[str, str], metadata: Json) -> Expected:
    """Return what `x-goog-hash`, `content-md5` and the metadata of an upload say; 400 where they say no checksum."""
    crc32c, md5 = metadata.get("crc32c") or "", metadata.get("md5Hash") or headers.get("content-md5", "")
    for one in headers.get("x-goog-hash", "").split(","):
        kind, _, value = one.strip().partition("=")
        crc32c = value if kind == "crc32c" else crc32c
        md5 = value if kind == "md5" else md5
    return Expected(str(crc32c), str(md5))


def verify(content: Content, wanted: Expected) -> None:
    """Raise 400 unless the bytes are the ones that the client meant to send."""
    if wanted.crc32c and wanted.crc32c != content.crc32c:
        raise invalid(f'Provided CRC32C "{wanted.crc32c}" doesn\'t match calculated CRC32C "{content.crc32c}".')
    if wanted.md5 and wanted.md5 != content.md5:
        raise invalid(f'Provided MD5 hash "{wanted.md5}" doesn\'t match calculated MD5 hash "{content.md5}".')
