"""From start to end of one server: its folder and lock, what an earlier one left, its work, and a clean end."""

from __future__ import annotations

import asyncio
import fcntl
import json
import secrets
import shutil
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx

from reconciler.emulator import deployments, job_runs
from reconciler.emulator.answer import advance
from reconciler.emulator.calls import Calls
from reconciler.emulator.quotas import Quota, Quotas
from reconciler.emulator.server import App, Front, application
from reconciler.emulator.serving import RefusedError, answer_until_told, listening, secured, take_signals
from reconciler.emulator.settings import Program, Settings
from reconciler.emulator.storage import Storage, open_storage
from reconciler.emulator.store import Row, Store
from reconciler.emulator.wire.routes import load_routes
from reconciler.emulator.work.containers import write_boto
from reconciler.emulator.work.docker import find_docker
from reconciler.emulator.work.forwarding import forwarder
from reconciler.emulator.work.health import Health
from reconciler.emulator.work.images import Images
from reconciler.emulator.work.processes import Processes
from reconciler.emulator.world import World

MARK_KIND = "mark"
END_GRACE_S = 5.0
COLLECT_EVERY_S = 5.0
# Replicas are local and slow machines think long; a client that gives up earlier is noticed anyway.
ANSWER_TIMEOUT_S = 600.0


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


def serve(options: Options, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `say` gets one line when the server answers. Raises `RefusedError`."""
    options.folder.mkdir(parents=True, exist_ok=True)
    write_boto(options.folder)
    try:
        docker = find_docker(options.runner)
    except ValueError as error:
        raise RefusedError(str(error)) from None
    told = take_signals()
    with (
        _only_one(options.folder),
        listening(options.host, options.port, "--port") as listener,
        secured(options.folder, options.host, options.tls_port) as secure,
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
                answering = partial(answer_until_told, listener=listener, secure=secure, settings=settings)
                asyncio.run(_serve(settings, store, storage, partial(answering, told=told, say=say)))
        finally:
            store.close()


async def _serve(
    settings: Settings,
    store: Store,
    storage: Storage,
    answering: Callable[[App], Awaitable[None]],
) -> None:
    awake = asyncio.Event()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S, limits=limits, trust_env=False) as client:
        clock = storage.clock
        runner = Processes(store, clock, settings.mark, settings.docker)
        health = Health(client, awake.set)
        images, quotas = Images(settings.docker), Quotas(settings.quotas)
        world = World(store, clock, runner, health, settings, storage.folders, images, quotas=quotas)
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
            await answering(application(front))
        finally:
            working.cancel()
            await asyncio.wait([working])
            await asyncio.to_thread(runner.end_all, END_GRACE_S)
            runner.forget_all()
            job_runs.interrupt(world)


async def _work(world: World, storage: Storage, awake: asyncio.Event) -> None:
    """Let the work go on, soon after every change and now and then."""
    collected = time.monotonic()
    while True:
        awake.clear()
        try:
            if storage.folders.users and time.monotonic() - collected > COLLECT_EVERY_S:
                collected = time.monotonic()
                storage.folders.give_back_meanwhile()
            pause = advance(world)
        except Exception as error:  # one bad row must not stop the work of all others for good
            with suppress(OSError):  # nor must a log that nobody reads, or a full disk
                print("work:", "".join(traceback.format_exception(error)), flush=True)  # noqa: T201 - the server's log
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


def _mark(store: Store) -> str:
    """What tells this folder's programs from all others; made once and kept."""
    row = store.get(MARK_KIND, "mark")
    if row is None:
        row = Row(MARK_KIND, "mark", "", b"", {"mark": secrets.token_hex(12)})
        store.add(row)
    return str(row.extra["mark"])


def _who(folder: Path) -> str:
    try:
        card = json.loads((folder / "server.json").read_text(encoding="utf-8"))
        return f"pid {card['pid']}, {card['url']}"
    except (OSError, ValueError, KeyError):
        return "starting or stopping"
