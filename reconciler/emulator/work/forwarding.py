"""Carries predictions to replicas and their answers back, without ever blocking the loop."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from reconciler.emulator.wire.errors import HTTP_CODES, ApiError
from reconciler.emulator.world import Forward, Replica

Send = Callable[[dict[str, Any]], Awaitable[None]]
_HEADERS = {
    "deployedModelId": "X-Vertex-AI-Deployed-Model-Id",
    "model": "X-Vertex-AI-Model",
    "modelVersionId": "X-Vertex-AI-Model-Version-Id",
}
_STATUSES = {code: status for status, code in HTTP_CODES.items() if status not in ("UNKNOWN", "OUT_OF_RANGE")}
_STATUSES |= {400: "INVALID_ARGUMENT", 409: "ABORTED", 500: "INTERNAL"}


def forwarder(client: httpx.AsyncClient) -> Callable[[Forward, Send], Awaitable[int]]:
    """A function that sends one `Forward`, answers with what comes back, and returns the HTTP code."""

    async def forward(asked: Forward, send: Send) -> int:
        if not asked.replicas:
            answer = asked.body if asked.raw else json.dumps({"predictions": _instances(asked.body)}).encode()
            return await _answer(asked, send, 200, asked.content_type, answer)
        for number, replica in enumerate(asked.replicas, 1):
            replica.busy += 1
            try:
                return await _ask(client, asked, replica, send)
            except httpx.ConnectError:  # it has gone this moment and has heard nothing: the next one answers
                if number == len(asked.replicas):
                    raise ApiError("UNAVAILABLE", "The model server takes no connections.") from None
            except httpx.InvalidURL as error:
                raise ApiError("INVALID_ARGUMENT", f"No container has such a path: {error}.") from None
            except httpx.TimeoutException:
                raise ApiError("DEADLINE_EXCEEDED", "The model server did not answer in time.") from None
            except httpx.HTTPError as error:
                raise ApiError("UNAVAILABLE", f"The model server did not answer: {type(error).__name__}.") from None
            finally:
                replica.busy -= 1
        raise AssertionError("there is a last replica")

    return forward


async def _ask(client: httpx.AsyncClient, asked: Forward, replica: Replica, send: Send) -> int:
    url = f"http://127.0.0.1:{replica.port}{asked.path}"
    headers = {"content-type": asked.content_type}
    if asked.stream:
        async with client.stream("POST", url, content=asked.body, headers=headers) as streamed:
            return await _stream(asked, send, streamed)
    found = await client.post(url, content=asked.body, headers=headers)
    return await _answer(asked, send, found.status_code, found.headers.get("content-type", ""), found.content)


async def _answer(asked: Forward, send: Send, code: int, content_type: str, body: bytes) -> int:
    if not asked.raw:
        if code >= 400:
            raise ApiError(_status(code), body.decode("utf-8", errors="replace"))
        shown = json.dumps({**_predictions(body), **asked.facts}, ensure_ascii=False).encode()
        return await _whole(send, code, "application/json; charset=UTF-8", {}, shown)
    if asked.wrapped and code < 400:
        pieces = json.dumps(_http_body(content_type, body)).encode()
        return await _whole(send, code, "application/json", asked.facts, b"[%b]" % pieces if asked.stream else pieces)
    return await _whole(send, code, content_type, asked.facts, body)


async def _whole(send: Send, code: int, content_type: str, facts: Mapping[str, str], body: bytes) -> int:
    await send({"type": "http.response.start", "status": code, "headers": _headers(content_type, facts, len(body))})
    await send({"type": "http.response.body", "body": body})
    return code


async def _stream(asked: Forward, send: Send, found: httpx.Response) -> int:
    content_type = found.headers.get("content-type", "application/octet-stream")
    if found.status_code >= 400:
        return await _answer(asked, send, found.status_code, content_type, await found.aread())
    shown = "application/json" if asked.wrapped else content_type
    headers = _headers(shown, asked.facts, None)
    await send({"type": "http.response.start", "status": found.status_code, "headers": headers})
    first = True
    async for piece in found.aiter_bytes():
        if asked.wrapped:
            text = json.dumps(_http_body(content_type, piece)).encode()
            piece = (b"[" if first else b",\r\n") + text
        first = False
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    end = (b"[]" if first else b"]") if asked.wrapped else b""
    await send({"type": "http.response.body", "body": end})
    return found.status_code


def _headers(content_type: str, facts: Mapping[str, str], length: int | None) -> list[tuple[bytes, bytes]]:
    headers = [(b"content-type", (content_type or "application/octet-stream").encode("latin-1", errors="replace"))]
    headers += [(_HEADERS[key].encode(), value.encode()) for key, value in facts.items() if key in _HEADERS]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    return headers


def _predictions(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "predictions" not in found:
        raise ApiError("INTERNAL", 'The model server\'s answer is not JSON with "predictions".')
    return {key: found[key] for key in ("predictions", "metadata") if key in found}


def _instances(body: bytes) -> Any:
    return json.loads(body)["instances"]


def _http_body(content_type: str, data: bytes) -> dict[str, str]:
    return {"contentType": content_type, "data": base64.b64encode(data).decode()}


def _status(code: int) -> str:
    """The canonical status of a container's HTTP code; what Google has no word for is 500, or 400 below it."""
    if code >= 500:
        return "UNAVAILABLE" if code == 503 else "INTERNAL"
    return _STATUSES.get(code, "INVALID_ARGUMENT")
