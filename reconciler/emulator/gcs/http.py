"""One request and one reply, between ASGI and the calls: parsed once here, so that no call knows the server.

Bodies are streams: a call that wants JSON asks for `json`, an upload reads piece by piece.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from reconciler.emulator.gcs.errors import StorageError, invalid, not_implemented
from reconciler.emulator.gcs.records import Conditions

Scope: TypeAlias = "dict[str, Any]"
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_WHOLE = re.compile(r"[0-9]{1,18}")

LARGEST_JSON = 4 << 20
"""Bytes of metadata that a request may carry; a batch of 1,000 calls fits."""


@dataclass(slots=True)
class Body:
    """The bytes of a request as they come in. `ended` once the last piece has been given out."""

    receive: Receive
    ended: bool = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the rest of the body; `ConnectionResetError` where the client goes away before its end."""
        while not self.ended:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the client went away in the middle of a request")
            self.ended = not message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    async def all(self) -> bytes:
        """Return the rest of a body of moderate size; 413 beyond."""
        whole = bytearray()
        async for piece in self.pieces():
            whole += piece
            if len(whole) > LARGEST_JSON:
                raise StorageError(413, "uploadTooLarge", "The request body is too large.")
        return bytes(whole)


@dataclass(frozen=True, slots=True)
class Request:
    """A request: `path` in decoded segments, `query` with the last of repeated values, lower-case `headers`.

    `base` is `http://host:port` as the client named this server.
    """

    method: str
    path: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    base: str
    body: Body
    repeated: tuple[tuple[str, str], ...] = ()

    async def json(self) -> dict[str, object]:
        """Return the JSON object in the body, `{}` for an empty body; 400 for anything else."""
        raw = await self.body.all()
        return parse_json(raw) if raw.strip() else {}

    def number(self, name: str) -> int | None:
        """Return an integer query parameter, `None` where it is absent or empty."""
        text = self.query.get(name, "")
        if not text:
            return None
        if not _WHOLE.fullmatch(text):
            raise invalid(f"Invalid value for the parameter {name}: {text!r}", name)
        return int(text)

    def flag(self, name: str) -> bool:
        """Return a boolean query parameter, false where it is absent."""
        return self.query.get(name, "").lower() == "true"

    def conditions(self, prefix: str = "if") -> Conditions:
        """Return the preconditions in the query; `prefix` is `ifSource` for those on a copy's source."""
        # The official Python client's uploads spell the last one with another capital letter.
        spelt = "MetaGeneration" if f"{prefix}MetaGenerationNotMatch" in self.query else "Metageneration"
        return Conditions(
            generation_match=self.number(f"{prefix}GenerationMatch"),
            generation_not_match=self.number(f"{prefix}GenerationNotMatch"),
            metageneration_match=self.number(f"{prefix}MetagenerationMatch"),
            metageneration_not_match=self.number(f"{prefix}{spelt}NotMatch"),
            etags=self._etags("if-match", prefix),
            other_etags=self._etags("if-none-match", prefix),
        )

    def _etags(self, header: str, prefix: str) -> tuple[str, ...]:
        """Return the tags of a header; those of a copy's source are asked for by no header."""
        text = self.headers.get(header, "") if prefix == "if" else ""
        return tuple(filter(None, (tag.strip().removeprefix("W/").strip('"') for tag in text.split(","))))


@dataclass(frozen=True, slots=True)
class Reply:
    """A response. `stream`, where given, yields the body in place of `body`."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    stream: AsyncGenerator[bytes, None] | None = field(default=None, compare=False)


def refuse_keys(request: Request) -> None:
    """Raise 501 for a request that brings or names keys: what is stored here is not encrypted."""
    named = ("x-goog-encryption-kms-key-name" in request.headers, "kmsKeyName" in request.query)
    if any(named) or "destinationKmsKeyName" in request.query:
        raise not_implemented("customer-managed encryption keys")
    if any(name.endswith(("encryption-algorithm", "encryption-key")) for name in request.headers):
        raise not_implemented("customer-supplied encryption keys")


def parse_json(raw: bytes) -> dict[str, object]:
    """Return a JSON object; 400 for anything else."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise StorageError(400, "parseError", "Parse Error") from error
    if not isinstance(value, dict):
        raise StorageError(400, "parseError", "Parse Error: the body must be a JSON object.")
    return value


def read_request(scope: Scope, receive: Receive) -> Request:
    """Return the request that an ASGI scope describes; 400 for a path that is not UTF-8."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    host = headers.get("host") or "{}:{}".format(*(scope.get("server") or ("localhost", 80)))
    base = f"{scope.get('scheme', 'http')}://{host}"
    return request_of(scope["method"], raw, scope["query_string"], headers, base, Body(receive))


def request_of(
    method: str, raw_path: bytes, raw_query: bytes, headers: Mapping[str, str], base: str, body: Body
) -> Request:
    """Return a request from its raw parts."""
    try:
        path = tuple(unquote_to_bytes(part).decode() for part in raw_path.split(b"/")[1:])
        pairs = parse_qsl(raw_query.decode("latin-1"), keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError) as error:
        raise invalid("The request's address is not valid UTF-8.") from error
    return Request(method, path, dict(pairs), headers, base, body, tuple(pairs))


def json_reply(value: Mapping[str, object], status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """Return a JSON response."""
    text = json.dumps(value, separators=(",", ":")).encode()
    return Reply(status, text, (("content-type", "application/json; charset=UTF-8"), *headers))


async def send_reply(reply: Reply, send: Send, receive: Receive, head: bool = False) -> None:
    """Send a response; of a HEAD request only what comes before the body. A stream ends when the client goes away."""
    headers = [(name.encode(), _header(value)) for name, value in reply.headers]
    if reply.stream is None and reply.status not in {204, 304} and "content-length" not in dict(reply.headers):
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if reply.stream is not None:
        gone = asyncio.ensure_future(receive())
        try:
            async with aclosing(reply.stream) as pieces:
                async for piece in pieces:
                    if gone.done():
                        return
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            gone.cancel()
    await send({"type": "http.response.body", "body": b"" if head or reply.stream else reply.body})


def _header(value: str) -> bytes:
    return value.replace("\r", " ").replace("\n", " ").encode("utf-8", errors="replace")
