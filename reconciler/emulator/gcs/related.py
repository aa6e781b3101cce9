"""The body of a multipart upload, `multipart/related`: metadata first, then the object's bytes as a stream.

Takes CRLF as the standard wants and bare LF as gcsfs sends; the first line decides which. Takes a boundary in single
quotes, as `gcloud storage` and gsutil send it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.message import Message

from reconciler.emulator.gcs.errors import StorageError

LARGEST_HEAD = 1 << 20
"""Bytes that the metadata and the headers of a part may take."""


class Related:
    """Reads the two parts in order: `metadata()` once, then `media()` to its end."""

    def __init__(self, content_type: str, pieces: AsyncIterator[bytes]) -> None:
        message = Message()
        message["content-type"] = content_type
        boundary = message.get_boundary()
        if not boundary:
            raise _malformed("the content type names no boundary")
        self._pieces = pieces
        if len(boundary) > 2 and boundary[0] == boundary[-1] == "'":
            boundary = boundary[1:-1]
        self._marker = b"--" + boundary.encode("latin-1", errors="replace")
        self._line = b"\r\n"
        self._buffer = bytearray()
        self.media_type = ""

    async def metadata(self) -> bytes:
        """Return the bytes of the first part."""
        first = (await self._until(b"\n")).strip()
        while not first:
            first = (await self._until(b"\n")).strip()
        if first != self._marker:
            raise _malformed("it does not begin with its boundary")
        await self._part_type()
        metadata = await self._until(self._line + self._marker)
        if (await self._until(b"\n")).strip():
            raise _malformed("it has one part where two are needed")
        self.media_type = await self._part_type()
        return metadata

    async def media(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the second part."""
        end = self._line + self._marker
        while True:
            at = self._buffer.find(end)
            if at >= 0:
                yield bytes(self._buffer[:at])
                del self._buffer[: at + len(end)]
                break
            sure = len(self._buffer) - len(end) + 1
            if sure > 0:
                yield bytes(self._buffer[:sure])
                del self._buffer[:sure]
            await self._fill()
        while len(self._buffer) < 2:
            await self._fill()
        if not self._buffer.startswith(b"--"):
            raise _malformed("it has more than two parts")
        async for _ in self._pieces:
            pass

    async def _part_type(self) -> str:
        """Read a part's headers and return its content type; the line break that ends them is the one in use."""
        found = ""
        while True:
            line = await self._until(b"\n")
            self._line = b"\r\n" if line.endswith(b"\r") else b"\n"
            if not line.strip():
                return found
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-type":
                found = value.strip().decode("latin-1")

    async def _until(self, end: bytes) -> bytes:
        while (at := self._buffer.find(end)) < 0:
            if len(self._buffer) > LARGEST_HEAD:
                raise _malformed("its metadata is too large")
            await self._fill()
        found = bytes(self._buffer[:at])
        del self._buffer[: at + len(end)]
        return found

    async def _fill(self) -> None:
        async for piece in self._pieces:
            self._buffer += piece
            return
        raise _malformed("it ends before its closing boundary")


def _malformed(why: str) -> StorageError:
    return StorageError(400, "badContent", f"Malformed multipart body: {why}.")
