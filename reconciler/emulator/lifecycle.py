"""From start to end of one server: its folder and lock, its socket, what an earlier one left, and a clean end."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, cast

import httpx
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from reconciler.emulator import deployments, job_runs
from reconciler.emulator.answer import advance
from reconciler.emulator.calls import Calls
from reconciler.emulator.quotas import Quota, Quotas
from reconciler.emulator.server import App, Front, application
from reconciler.emulator.settings import Program, Settings
from reconciler.emulator.storage import Storage, open_storage
from reconciler.emulator.store import Row, Store
from reconciler.emulator.tls import Certificate, certificate
from reconciler.emulator.wire.routes import load_routes
from reconciler.emulator.work.containers import write_boto
from reconciler.emulator.work.docker import find_docker
from reconciler.emulator.work.forwarding import forwarder
from reconciler.emulator.work.health import Health
from reconciler.emulator.work.processes import Processes
from reconciler.emulator.world import World

MARK_KIND = "mark"
END_GRACE_S = 5.0
COLLECT_EVERY_S = 5.0
# Replicas are local and slow machines think long; a client that gives up earlier is noticed anyway.
ANSWER_TIMEOUT_S = 600.0


class RefusedError(Exception):
    """The server cannot start; the message says why and the way out."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line. `port` 0 takes any free port, and so does `tls_port`; None is no TLS at all.

    `runner` is one of `docker.RUNNERS`: what runs images that no program stands for.
    """

    host: str
    port: int
    folder: Path
    programs: Mapping[str, Program]
    project: str
    jobs_at_once: int
    replicas_at_most: int = 2
    withhold_containers: bool = False
    tls_port: int | None = None
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    quotas: tuple[Quota, ...] = ()
    runner: str = "auto"
    docker_words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Secure:
    """The TLS port: its socket, `localhost:PORT`, and its certificate."""

    listener: socket.socket
    address: str
    certificate: Certificate


def serve(options: Options, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `say` gets one line when the server answers. Raises `RefusedError`."""
    options.folder.mkdir(parents=True, exist_ok=True)
    write_boto(options.folder)
    try:
        docker = find_docker(options.runner)
    except ValueError as error:
        raise RefusedError(str(error)) from None
    # uvicorn ends well on these and raises them again when it is done: then there is nothing left to do.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _nothing)
    with (
        _only_one(options.folder),
        _listening(options.host, options.port, "--port") as listener,
        _secure(options) as secure,
    ):
        host = f"[{options.host}]" if ":" in options.host else options.host
        url = f"http://{host}:{listener.getsockname()[1]}"
        store = Store(options.folder / "vertex.sqlite")
        try:
            settings = Settings(
                folder=options.folder,
                url=url,
                project=options.project,
                programs=options.programs,
                mark=_mark(store),
                jobs_at_once=options.jobs_at_once,
                quotas=options.quotas,
                stand_ins=options.stand_ins,
                replicas_at_most=options.replicas_at_most,
                withhold_containers=options.withhold_containers,
                tls_address=secure.address if secure else "",
                docker=docker,
                docker_only=options.runner == "docker",
                docker_words=options.docker_words,
            )
            with open_storage(options.folder / "storage") as storage:
                asyncio.run(_serve(settings, store, storage, listener, secure, say))
        finally:
            store.close()


async def _serve(
    settings: Settings,
    store: Store,
    storage: Storage,
    listener: socket.socket,
    secure: _Secure | None,
    say: Callable[[str], None],
) -> None:
    awake = asyncio.Event()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S, limits=limits, trust_env=False) as client:
        clock = storage.clock
        runner = Processes(store, clock, settings.mark, settings.docker)
        health = Health(client, awake.set)
        world = World(store, clock, runner, health, settings, storage.folders, quotas=Quotas(settings.quotas))
        runner.clear_leftovers()
        job_runs.interrupt(world)
        store.awaken(deployments.KIND)
        calls = Calls()

        async def reset() -> None:
            store.clear(MARK_KIND)
            await asyncio.to_thread(runner.end_all, END_GRACE_S)
            runner.forget_all()
            store.clear(MARK_KIND)
            health.forget_all()
            await asyncio.to_thread(storage.folders.clear)
            for folder in ("logs", "jobs", "replicas"):
                shutil.rmtree(settings.folder / folder, ignore_errors=True)
            world.faults.clear()
            world.quotas.seen.clear()
            world.turns.credit.clear()
            world.replicas.clear()
            calls.clear()
            clock.back_to_real()

        front = Front(
            world, load_routes(), storage.app, storage.claims, calls, awake.set, forwarder(client), clock, reset
        )
        working = asyncio.create_task(_work(world, storage, awake))
        try:
            await _answer(application(front), listener, secure, settings, say)
        finally:
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
            await asyncio.to_thread(runner.end_all, END_GRACE_S)
            runner.forget_all()
            job_runs.interrupt(world)


async def _answer(
    app: App, listener: socket.socket, secure: _Secure | None, settings: Settings, say: Callable[[str], None]
) -> None:
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
        if server.started:
            _write_whole(where, _card(settings, secure))
            say(f"The embedded Vertex AI answers at {settings.url}")
        if secure is not None:
            say(f"and at https://{secure.address} for those who trust {secure.certificate.authority}")
        await serving
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


async def _work(world: World, storage: Storage, awake: asyncio.Event) -> None:
    """Let the work go on, soon after every change and now and then."""
    collected = time.monotonic()
    while True:
        awake.clear()
        if storage.folders.users and time.monotonic() - collected > COLLECT_EVERY_S:
            collected = time.monotonic()
            storage.folders.give_back_meanwhile()
        try:
            pause = advance(world)
        except Exception as error:  # one bad row must not stop the work of all others for good
            print(f"work: {type(error).__name__}: {error}", flush=True)  # noqa: T201 - the server's own log
            pause = 1.0
        with suppress(TimeoutError):
            await asyncio.wait_for(awake.wait(), pause)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RefusedError(
                f"Another server already uses {folder} ({_who(folder)}). Stop it, or choose another --state folder."
            ) from None
        (folder / "server.json").unlink(missing_ok=True)
        yield


@contextmanager
def _secure(options: Options) -> Iterator[_Secure | None]:
    """The second socket and what it shows of itself; None when there shall be none."""
    if options.tls_port is None:
        yield None
        return
    try:
        found = certificate(options.folder, options.host, datetime.now(UTC))
    except ModuleNotFoundError:
        raise RefusedError("TLS needs the package cryptography: pip install cryptography.") from None
    with _listening(options.host, options.tls_port, "--tls-port") as listener:
        yield _Secure(listener, f"localhost:{listener.getsockname()[1]}", found)


@contextmanager
def _listening(host: str, port: int, option: str) -> Iterator[socket.socket]:
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


def _mark(store: Store) -> str:
    """What tells this folder's programs from all others; made once and kept."""
    row = store.get(MARK_KIND, "mark")
    if row is None:
        row = Row(MARK_KIND, "mark", "", b"", {"mark": secrets.token_hex(12)})
        store.add(row)
    return str(row.extra["mark"])


def _card(settings: Settings, secure: _Secure | None) -> str:
    started = datetime.now(UTC).isoformat()
    port = int(settings.url.rpartition(":")[2])
    card = {"pid": os.getpid(), "port": port, "url": settings.url, "started": started}
    if secure is not None:
        card |= {"tls_url": f"https://{secure.address}", "ca": str(secure.certificate.authority)}
    return json.dumps(card)


def _who(folder: Path) -> str:
    try:
        card = json.loads((folder / "server.json").read_text(encoding="utf-8"))
        return f"pid {card['pid']}, {card['url']}"
    except (OSError, ValueError, KeyError):
        return "starting or stopping"


def _write_whole(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Take the place of the default, which would end the process at once."""
