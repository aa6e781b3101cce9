"""The embedded Vertex AI of this repository as a process: is it running, where, and how is it started and stopped.

It is reached only through its process contract: `server.json` in its folder, `/emulator/health`, SIGTERM.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import psutil

from reconciler.core.errors import LoraformError

FOLDER = Path(".loraform/vertex")
"""Where its objects and databases live, below the repository's root."""

MARK = "LORAFORM_EMULATOR_MARK"
"""The variable that every program of a server carries, as `MARK/...` with the mark that is in `server.json`."""

NEEDS = ("httptools", "httpx", "uvicorn")
"""What the extra `local` brings."""
START_WITHIN = 60.0
STOP_WITHIN = 90.0
"""Seconds. Stopping takes as long as its slowest child: a training that is writing, a server that is draining."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running embedded Vertex AI."""

    pid: int
    url: str
    folder: Path
    tls_url: str = ""

    @property
    def log(self) -> Path:
        """Where a detached one writes what it does."""
        return self.folder / "server.log"


def programs() -> Mapping[str, list[str]]:
    """Which local program stands for which image of ours."""
    return {
        "loraform/train": [sys.executable, "-m", "images.train"],
        "loraform/serve": [sys.executable, "-m", "images.serve"],
    }


def command(folder: Path, port: int, further: Mapping[str, object], options: Sequence[str] = ()) -> list[str]:
    """The command line of the server process; `further` programs, by image, beside or in place of ours."""
    return [
        sys.executable, "-m", "reconciler.emulator", "--host", "127.0.0.1", "--port", str(port),
        "--state", str(folder), "--programs", json.dumps({**programs(), **further}),
        *options,
    ]  # fmt: skip


def running(folder: Path) -> Server | None:
    """The server whose folder this is, when its process lives; None otherwise. Asks nothing over the network."""
    try:
        written = json.loads((folder / "server.json").read_text(encoding="utf-8"))
        server = Server(int(written["pid"]), str(written["url"]), folder, str(written.get("tls_url", "")))
        alive = _is_server_of(psutil.Process(server.pid), folder)
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None
    return server if alive else None


def require(folder: Path) -> Server:
    """The running server, or an error that says how to start it."""
    server = running(folder)
    if server is None:
        raise LoraformError("The embedded Vertex AI is not running.", "Run `loraform up --detach` first.")
    return server


def healthy(url: str, within: float = 2.0) -> bool:
    """True when the server answers its health route within this many seconds."""
    try:
        with urllib.request.urlopen(f"{url}/emulator/health", timeout=within) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def start(
    folder: Path,
    port: int = 0,
    *,
    detach: bool,
    waiting: Callable[[float], None],
    further: Mapping[str, object] = MappingProxyType({}),
    options: Sequence[str] = (),
) -> Server:
    """Start the server and return once it answers. `waiting` is called with the seconds so far while it does not.

    Detached, it has its own session and outlives this process; else a Ctrl-C on this terminal reaches it too.
    Either way it writes to `server.log`.
    """
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        raise LoraformError(
            f"The embedded Vertex AI needs {', '.join(missing)}.", "Install it: `pip install 'loraform[local]'`."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.log").open("ab") as log:
        log_from = log.tell()
        child = subprocess.Popen(
            command(folder, port, further, options),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=detach,
        )
    begun = time.monotonic()
    try:
        while True:
            server = running(folder)
            if server is not None and server.pid == child.pid and healthy(server.url):
                return server
            spent = time.monotonic() - begun
            if child.poll() is not None or spent > START_WITHIN:
                raise LoraformError(
                    _ended(child.poll()), _last_lines(folder / "server.log", log_from) + f"\nAll of it: {log.name}"
                )
            waiting(spent)
            time.sleep(0.1)
    except BaseException:
        stop(Server(child.pid, "", folder), waiting=lambda _: None)
        raise


def stop(server: Server, *, waiting: Callable[[float], None]) -> None:
    """Stop the server and wait until its process and all its children are gone; kill what does not go by itself."""
    try:
        process = psutil.Process(server.pid)
        family = [process, *process.children(recursive=True)]
        process.terminate()
    except psutil.NoSuchProcess:
        return
    _see_them_go(family, server, waiting)


def stop_leftovers(folder: Path, *, waiting: Callable[[float], None]) -> int:
    """End the programs of a server that was killed and could not end them itself; how many there were.

    They are known by the server's mark in their environment, which nothing else carries, and by having no living server
    above them.
    """
    try:
        written = json.loads((folder / "server.json").read_text(encoding="utf-8"))
        url, mark = str(written["url"]), str(written["mark"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    orphans = [process for process in psutil.process_iter() if _is_orphan(process, mark)]
    for process in orphans:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    _see_them_go(orphans, Server(0, url, folder), waiting)
    return len(orphans)


def _is_server_of(process: psutil.Process, folder: Path) -> bool:
    """Whether this process is the server of this folder: after a kill its number may be another's, even a server's."""
    words = process.cmdline()
    if "reconciler.emulator" not in words or "--state" not in words[:-1]:
        return False
    return Path(process.cwd(), words[words.index("--state") + 1]).resolve() == folder.resolve()


def _is_orphan(process: psutil.Process, mark: str) -> bool:
    try:
        if not process.environ().get(MARK, "").startswith(f"{mark}/"):
            return False
        return not any("reconciler.emulator" in parent.cmdline() for parent in process.parents())
    except (psutil.Error, OSError):
        return False


def _see_them_go(family: list[psutil.Process], server: Server, waiting: Callable[[float], None]) -> None:
    """Wait for processes that were asked to end, then kill. LoraformError when one stays even so."""
    begun = time.monotonic()
    left = family
    while left and time.monotonic() - begun < STOP_WITHIN:
        _, left = psutil.wait_procs(left, timeout=0.2)
        waiting(time.monotonic() - begun)
    for survivor in left:
        try:
            survivor.kill()
        except psutil.NoSuchProcess:
            continue
    _, left = psutil.wait_procs(left, timeout=10)
    if left:
        named = ", ".join(str(survivor.pid) for survivor in left)
        raise LoraformError(f"These processes of the embedded Vertex AI do not end: {named}.", f"Look at {server.log}.")


def _ended(code: int | None) -> str:
    if code is None:
        return f"The embedded Vertex AI did not answer within {START_WITHIN:.0f} s."
    return f"The embedded Vertex AI ended at its start with code {code}."


def _last_lines(log: Path, log_from: int) -> str:
    with log.open("rb") as written:
        written.seek(log_from)
        return "\n".join(written.read().decode(errors="replace").strip().splitlines()[-8:])
