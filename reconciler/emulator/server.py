"""The HTTP front: one ASGI application for every service on one port. Turns requests into calls of `answer`.

Decides only what HTTP decides: prefixes, encodings, who may use the control surface, what is recorded as a call.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from reconciler.emulator import operations
from reconciler.emulator.answer import METHODS, answer
from reconciler.emulator.calls import Calls
from reconciler.emulator.control import control
from reconciler.emulator.wire.codec import new, to_json
from reconciler.emulator.wire.errors import ApiError, Json
from reconciler.emulator.wire.plain_routes import match_plain
from reconciler.emulator.wire.raw_routes import match_raw
from reconciler.emulator.wire.requests import build, numeric_enums
from reconciler.emulator.wire.routes import Routes
from reconciler.emulator.world import Forward, Plain, Wait, World

Scope: TypeAlias = "dict[str, Any]"
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

STORAGE_PREFIXES = ("/storage/", "/upload/storage/", "/download/storage/", "/batch/storage", "/resumable/upload/")
LARGEST_BODY = 32 * 1024 * 1024
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
                _same_origin(scope, front.world.settings.url)
                query = scope["query_string"].decode("latin-1")
                body = await _read(receive)
                await _reply(sending, 200, control(front.world, front.calls, scope["method"], path, query, body))
                front.wake()
                return
            if called is None:
                raise ApiError("NOT_FOUND", f"The requested URL {path} was not found on this server.")
            await _call(front, called, scope, await _read(receive), sending)
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


async def _call(front: Front, called: _Called, scope: Scope, body: bytes, send: Send) -> None:
    """Make one API call and send its answer."""
    body_read = called.build(body) if called.method in METHODS else None  # what is not served is 501, whatever it says
    found = answer(front.world, called.method, body_read)
    if scope["method"] != "GET":
        front.wake()
    if isinstance(found, Wait):
        found = await _wait(front.world, found)
    if isinstance(found, Forward):
        await front.forward(found, send)
        return
    query = scope["query_string"].decode("latin-1")
    await _reply(send, 200, found.body if isinstance(found, Plain) else to_json(found, numbers=numeric_enums(query)))


async def _wait(world: World, wait: Wait) -> Any:
    deadline = world.clock() + wait.timeout_s
    request = new("google.longrunning.GetOperationRequest", name=wait.operation)
    while True:
        found = operations.get(world, request)
        if found.done or world.clock() >= deadline:
            return found
        await asyncio.sleep(0.05)


async def _storage(front: Front, scope: Scope, receive: Receive, send: Send) -> None:
    codes: list[int] = []

    async def listening(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            codes.append(message["status"])
        await send(message)

    try:
        await front.storage(scope, receive, listening)
    finally:
        code = codes[0] if codes else 500
        front.calls.note(front.world.clock(), f"storage.{scope['method']}", scope["path"], code)


def _header(scope: Scope, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")


def _same_origin(scope: Scope, url: str) -> None:
    """A page from elsewhere, open in the user's browser, must not steer the server."""
    if _header(scope, b"origin") not in ("", url):
        raise ApiError("PERMISSION_DENIED", "The control surface answers no calls from other origins.")


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            raise ApiError("INVALID_ARGUMENT", f"The request is larger than {LARGEST_BODY} bytes.")
        if not message.get("more_body"):
            return bytes(body)


async def _reply(send: Send, code: int, body: Json | Mapping[str, Any]) -> None:
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", errors="replace")
    headers = [*_JSON, (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": text})
