"""Batches: many calls on metadata in one `multipart/mixed` request, answered one after another in their order."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from email.message import Message
from email.parser import BytesParser
from http import HTTPStatus

from reconciler.emulator.gcs.errors import invalid
from reconciler.emulator.gcs.http import Body, Reply, Request, request_of

MOST_CALLS = 1000
"""Calls in one batch: what the official client sends at most; Google's own limit is lower."""

Answer = Callable[[Request], Awaitable[Reply]]


async def answer_batch(request: Request, answer: Answer) -> Reply:
    """Answer every call of a batch; 400 where the batch itself cannot be read."""
    head = b"Content-Type: " + request.headers.get("content-type", "").encode("latin-1") + b"\r\n\r\n"
    whole = BytesParser().parsebytes(head + await request.body.all())
    parts = whole.get_payload()
    if not whole.is_multipart() or not isinstance(parts, list):
        raise invalid("A batch must be a multipart/mixed body.")
    if len(parts) > MOST_CALLS:
        raise invalid(f"The batch has {len(parts)} calls; the maximum is {MOST_CALLS}.")
    boundary = f"batch_{uuid.uuid4().hex}"
    out = bytearray()
    for part in parts:
        if not isinstance(part, Message):
            raise invalid("A batch must be a multipart/mixed body.")
        out += f"--{boundary}\r\nContent-Type: application/http\r\n".encode()
        if name := part.get("Content-ID"):
            out += f"Content-ID: <response-{str(name).strip('<>')}>\r\n".encode()
        out += b"\r\n" + await _answer_part(part, request.base, answer) + b"\r\n"
    out += f"--{boundary}--\r\n".encode()
    return Reply(200, bytes(out), (("content-type", f"multipart/mixed; boundary={boundary}"),))


async def _answer_part(part: Message, base: str, answer: Answer) -> bytes:
    raw = part.get_payload(decode=True)
    reply = await answer(_read_call(raw if isinstance(raw, bytes) else b"", base))
    lines = [f"HTTP/1.1 {reply.status} {_phrase(reply.status)}"]
    lines += [f"{name.title()}: {value}" for name, value in reply.headers]
    lines.append(f"Content-Length: {len(reply.body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body


def _read_call(raw: bytes, base: str) -> Request:
    line, _, rest = raw.lstrip().partition(b"\n")
    words = line.strip().split(b" ")
    if len(words) < 2:
        raise invalid("A call of the batch has no request line.")
    message = BytesParser().parsebytes(rest)
    body = message.get_payload(decode=True)
    target = words[1]
    if b"://" in target:
        target = b"/" + target.split(b"://", 1)[1].partition(b"/")[2]
    path, _, query = target.partition(b"?")
    headers: Mapping[str, str] = {name.lower(): str(value) for name, value in message.items()}
    held = body if isinstance(body, bytes) else b""
    return request_of(words[0].decode("latin-1"), path, query, headers, base, _body(held))


def _body(held: bytes) -> Body:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": held, "more_body": False}

    return Body(receive)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
