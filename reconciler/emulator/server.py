"""The HTTP front: one ASGI application for every service on one port. Turns requests into calls of `answer`.

Decides only what HTTP decides: prefixes, encodings, who may use the control surface, what is recorded as a call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from reconciler.emulator import audit, operations
from reconciler.emulator.answer import METHODS, answer_struck
from reconciler.emulator.calls import Calls
from reconciler.emulator.clock import Clock
from reconciler.emulator.control import control
from reconciler.emulator.faults import STORAGE, LostResponseError, Struck, strike
from reconciler.emulator.gcs.errors import StorageError
from reconciler.emulator.instance_metadata import HEADERS, asks_metadata, metadata
from reconciler.emulator.origins import refuse_strangers
from reconciler.emulator.page import PAGE_HEADERS, page
from reconciler.emulator.wire.codec import new
from reconciler.emulator.wire.errors import ApiError, Json, not_implemented
from reconciler.emulator.wire.plain_routes import match_plain
from reconciler.emulator.wire.raw_routes import match_raw
from reconciler.emulator.wire.requests import build, numeric_enums
from reconciler.emulator.wire.routes import PREFIXES, Routes, other_routes
from reconciler.emulator.wire.texts import Texts, text_of
from reconciler.emulator.world import Forward, Plain, Wait, World

Scope: TypeAlias = "dict[str, Any]"
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

STORAGE_PREFIXES = ("/storage/", "/upload/storage/", "/download/storage/", "/batch/storage", "/resumable/upload/")
LARGEST_BODY = 32 * 1024 * 1024
_REASONS = {401: "authError", 403: "forbidden", 404: "notFound", 412: "conditionNotMet", 429: "rateLimitExceeded"}
_JSON = [(b"content-type", b"application/json; charset=UTF-8")]


@dataclass(frozen=True, slots=True)
class Front:
    """Everything that the application needs. `wake` makes the work go on at once; `forward` talks to replicas.

    `stores` says of a path that no service knows whether it is an object's in `storage`.
    """

    world: World
    routes: Routes
    storage: App
    stores: Callable[[str], bool]
    calls: Calls
    wake: Callable[[], None]
    forward: Callable[[Forward, Send], Awaitable[int]]
    clock: Clock
    reset: Callable[[], Awaitable[None]]
    texts: Texts = field(default_factory=Texts)


@dataclass(frozen=True, slots=True)
class _Called:
    """A request understood: its method, the resource in its path, and how to read its body."""

    method: str
    resource: str
    build: Callable[[bytes], Any]


def application(front: Front) -> App:
    """The ASGI application."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        try:
            refuse_strangers(scope["headers"], front.world.settings.url)
        except ApiError as error:
            await _reply(send, error.http_code, error.envelope())
            return
        if asks_metadata(path, scope["headers"]):
            await _metadata(front, scope, send)
            return
        if path == "/" and scope["method"] in ("GET", "HEAD"):
            await _page(send)
            return
        controls = path.startswith("/emulator/")
        called = None if controls or path.startswith(STORAGE_PREFIXES) else _called(front, scope)
        if path.startswith(STORAGE_PREFIXES) or (called is None and not controls and front.stores(path)):
            await _storage(front, scope, receive, send)
            return
        begun: list[int] = []

        async def sending(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                begun.append(message["status"])
            await send(message)

        try:
            if controls:
                query = scope["query_string"].decode("latin-1")
                body = await _read(receive)
                if (scope["method"], path) == ("POST", "/emulator/reset"):
                    await front.reset()
                found = control(front.world, front.clock, front.calls, scope["method"], path, query, body)
                await _reply(sending, 200, found)
                front.wake()
                return
            if called is None:
                raise await _nowhere(scope)
            struck = strike(front.world.faults, called.method, called.resource)
            await _call(front, called, scope, await _read(receive), sending, struck)
        except LostResponseError:
            await _drop(scope)
        except ApiError as error:
            if not begun:
                await _reply(sending, error.http_code, error.envelope())
        except Exception as error:  # the last resort: answer, and let uvicorn write it down
            if not begun:
                await _reply(sending, 500, ApiError("INTERNAL", f"{type(error).__name__}: {error}").envelope())
            raise
        finally:
            if not controls:
                method, resource = (called.method, called.resource) if called else (scope["method"], path)
                front.calls.note(front.world.clock(), method, resource, begun[0] if begun else 499)
                if called and begun and begun[0] < 400:
                    who = audit.caller(_header(scope, b"authorization"), _header(scope, b"user-agent"))
                    audit.note(front.world.settings.folder, front.world.clock(), method, resource, who)

    return app


def _called(front: Front, scope: Scope) -> _Called | None:
    """Which method a request means; None when no service has such an address."""
    raw = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    match = front.routes.match(scope["method"], raw)
    if match is not None:
        kind = _header(scope, b"content-type")
        return _Called(match.binding.method, match.value, lambda body: build(match, query, body, kind))
    own = match_raw(scope["method"], raw)
    if own is not None:
        kind = _header(scope, b"content-type")
        return _Called(own.method, own.resource, lambda body: own.request(query, body, kind))
    plain = match_plain(scope["method"], raw)
    if plain is not None:
        return _Called(plain.method, plain.resource, lambda body: plain.request(query, body))
    return None


async def _nowhere(scope: Scope) -> ApiError:
    """The refusal of an address: 501 with the method's name where Vertex AI has one there, else 404."""
    raw = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
    if raw.lstrip("/").partition("/")[0] in PREFIXES:
        for routes in await asyncio.to_thread(other_routes):
            match = routes.match(scope["method"], raw)
            if match is not None and match.binding.method not in METHODS:
                return not_implemented(match.binding.method)
    return ApiError("NOT_FOUND", f"The requested URL {scope['path']} was not found on this server.")


async def _call(front: Front, called: _Called, scope: Scope, body: bytes, send: Send, struck: Struck) -> None:
    """Make one API call and send its answer."""
    body_read = called.build(body) if called.method in METHODS else None  # what is not served is 501, whatever it says
    await asyncio.sleep(struck.delay_s)
    found = answer_struck(front.world, called.method, body_read, struck)
    if scope["method"] != "GET":
        front.wake()
    if isinstance(found, Wait):
        found = await _wait(front.world, found)
    if isinstance(found, Forward):
        await front.forward(found, send)
        return
    query = scope["query_string"].decode("latin-1")
    if isinstance(found, Plain):
        await _reply(send, 200, found.body)
    else:
        await _send_text(send, 200, front.texts.of(found, numbers=numeric_enums(query)))


async def _wait(world: World, wait: Wait) -> Any:
    deadline = time.monotonic() + wait.timeout_s  # the client waits in its own time, whatever the clock says
    request = new("google.longrunning.GetOperationRequest", name=wait.operation)
    while True:
        found = operations.get(world, request)
        if found.done or time.monotonic() >= deadline:
            return found
        await asyncio.sleep(0.05)


async def _storage(front: Front, scope: Scope, receive: Receive, send: Send) -> None:
    codes: list[int] = []

    async def listening(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            codes.append(message["status"])
        if not struck.lost:
            await send(message)

    method = f"{STORAGE}{scope['method']}"
    struck = strike(front.world.faults, method, scope["path"])
    await asyncio.sleep(struck.delay_s)
    try:
        if struck.refusal is not None:
            refusal = struck.refusal
            refused = StorageError(refusal.http_code, _REASONS.get(refusal.http_code, "backendError"), refusal.message)
            await _read(receive, keep=False)
            await _reply(listening, refused.status, refused.envelope())
        else:
            await front.storage(scope, receive, listening)
        if struck.lost:
            await _drop(scope)
    finally:
        code = codes[0] if codes else 500
        front.calls.note(front.world.clock(), method, scope["path"], code)


def _header(scope: Scope, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")


async def _drop(scope: Scope) -> None:
    """Close the connection without an answer."""
    scope["state"]["protocol"].transport.abort()
    await asyncio.sleep(0)  # so that the HTTP server hears of it before it looks for an answer


async def _metadata(front: Front, scope: Scope, send: Send) -> None:
    query = scope["query_string"].decode("latin-1")
    code, kind, body = metadata(front.world.settings, scope["path"], query, scope["headers"])
    headers = [*HEADERS, (b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _page(send: Send) -> None:
    body = page()
    headers = [*PAGE_HEADERS, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _read(receive: Receive, *, keep: bool = True) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"") if keep else b""
        if len(body) > LARGEST_BODY:
            raise ApiError("INVALID_ARGUMENT", f"The request is larger than {LARGEST_BODY} bytes.")
        if not message.get("more_body"):
            return bytes(body)


async def _reply(send: Send, code: int, body: Json | Mapping[str, Any]) -> None:
    await _send_text(send, code, text_of(body))


async def _send_text(send: Send, code: int, text: bytes) -> None:
    headers = [*_JSON, (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": text})
