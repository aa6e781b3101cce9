"""The sockets of a server, and uvicorn on them: from the first answer until somebody tells it to end.

Decides nothing about what is answered. SIGTERM, SIGINT and the end of the terminal (SIGHUP) end it well, also when they
come before it answers; no other signal that a program may get by accident ends it at all.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from reconciler.emulator.server import App
from reconciler.emulator.settings import Settings
from reconciler.emulator.tls import Certificate, certificate

Say = Callable[[str], None]


class RefusedError(Exception):
    """The server cannot start; the message says why and the way out."""


@dataclass(frozen=True, slots=True)
class Secure:
    """The TLS port: its socket, `localhost:PORT`, and its certificate."""

    listener: socket.socket
    address: str
    certificate: Certificate


def take_signals() -> list[str]:
    """Keep signals from ending the process at once; the list that is returned gets the names of those that ask for it.

    uvicorn takes SIGTERM and SIGINT over while it runs, and raises them again when it is done.
    """
    told: list[str] = []

    def note(number: int, frame: FrameType | None) -> None:
        told.append(signal.Signals(number).name)

    def hang_up(number: int, frame: FrameType | None) -> None:
        told.append(signal.Signals(number).name)
        signal.raise_signal(signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` means what it says
        signal.signal(signal.SIGHUP, hang_up)
    # The kernel's word for "somebody opens a file that you look at" (`gcs.mount`) must never end the server.
    signal.signal(signal.SIGIO, lambda number, frame: None)
    return told


@contextmanager
def secured(folder: Path, host: str, port: int | None) -> Iterator[Secure | None]:
    """The second socket and what it shows of itself; None when there shall be none."""
    if port is None:
        yield None
        return
    try:
        found = certificate(folder, host, datetime.now(UTC))
    except ModuleNotFoundError:
        raise RefusedError("TLS needs the package cryptography: pip install cryptography.") from None
    with listening(host, port, "--tls-port") as listener:
        yield Secure(listener, f"localhost:{listener.getsockname()[1]}", found)


@contextmanager
def listening(host: str, port: int, option: str) -> Iterator[socket.socket]:
    """A socket of our own; `option` is what chooses its port. Raises `RefusedError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The HTTP server writes head and body apart; with Nagle on, a client's delayed ACK costs 40 ms an answer.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise RefusedError(
                f"Cannot listen on {host}:{port}: {error.strerror}. Choose another {option}; 0 takes a free one."
            ) from None
        yield listener


async def answer_until_told(
    app: App, listener: socket.socket, secure: Secure | None, settings: Settings, told: list[str], say: Say
) -> None:
    """Answer on both sockets. `told` is what `take_signals` gave; `say` gets a line at the beginning and at the end."""
    server = uvicorn.Server(_config(app))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await _begun(server, serving)
    where = settings.folder / "server.json"
    other: uvicorn.Server | None = None
    securing: asyncio.Task[None] | None = None
    try:
        if secure is not None and server.started:
            # Begun after the first and ended before it: each takes the signals over and hands them on at its end.
            other = uvicorn.Server(_config(app, secure.certificate.chain))
            securing = asyncio.create_task(other.serve(sockets=[secure.listener]))
            await _begun(other, securing)
        server.should_exit = server.should_exit or bool(told)
        if server.started:
            _write_whole(where, _card(settings, secure))
            say(f"The embedded Vertex AI answers at {settings.url}")
        if secure is not None:
            say(f"and at https://{secure.address} for those who trust {secure.certificate.authority}")
        await serving
        say(f"The embedded Vertex AI ends, as {told[0] if told else 'its socket'} tells it to.")
    finally:
        where.unlink(missing_ok=True)
        if other is not None and securing is not None:
            other.should_exit = True
            await securing


async def _begun(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)


def _droppable(**given: Any) -> Any:
    """uvicorn's protocol, which the application finds in its scope: so it can drop a connection without an answer."""
    protocol = HttpToolsProtocol(**{**given, "app_state": dict(given["app_state"])})
    protocol.app_state["protocol"] = protocol
    return protocol


def _config(app: App, chain: Path | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        ssl_certfile=chain,
        http=cast("Any", _droppable),
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
        server_header=False,
        backlog=512,
    )


def _card(settings: Settings, secure: Secure | None) -> str:
    """What others need to know of the server; `mark` is in the environment of every program that it has started."""
    started = datetime.now(UTC).isoformat()
    port = int(settings.url.rpartition(":")[2])
    card = {"pid": os.getpid(), "port": port, "url": settings.url, "started": started, "mark": settings.mark}
    if secure is not None:
        card |= {"tls_url": f"https://{secure.address}", "ca": str(secure.certificate.authority)}
    return json.dumps(card)


def _write_whole(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
