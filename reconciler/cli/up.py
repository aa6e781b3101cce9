"""`loraform up`: start the embedded Vertex AI of this repository."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Annotated

import psutil
import typer

from reconciler.cli import local
from reconciler.cli.root import find_root
from reconciler.cli.screen import Screen
from reconciler.core.errors import LoraformError

PORT = typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)
STATE = typer.Option(help="Folder of its objects and databases. [default: .loraform/vertex]", show_default=False)
PROGRAMS = typer.Option(
    help="Programs for images of your own: a JSON file of image names and command lines.", show_default=False
)
DETACH = typer.Option("--detach", "-d", help="Return as soon as it answers; `loraform down` stops it.")


def run(
    port: Annotated[int, PORT] = 0,
    state: Annotated[Path | None, STATE] = None,
    detach: Annotated[bool, DETACH] = False,
    programs: Annotated[Path | None, PROGRAMS] = None,
) -> int:
    """Start the embedded Vertex AI: real training and real serving on this machine, no account needed.

    It runs until Ctrl-C, or with --detach until `loraform down`. What it holds survives: the next `up` brings
    deployed models back.
    """

    folder = (state or find_root() / local.FOLDER).resolve()
    with Screen() as screen:
        server = local.running(folder)
        if server is not None:
            screen.show(_where(server, "is already running"))
            return 0
        server = local.start(
            folder,
            port,
            detach=detach,
            further=_further(programs),
            waiting=lambda spent: screen.meanwhile(f"Starting the embedded Vertex AI, {spent:.0f} s"),
        )
        screen.show(_where(server, "is up"))
        if detach:
            screen.show("Stop it with `loraform down`.")
            return 0
        screen.show("Stop it with Ctrl-C.")
        return _until_it_ends(server, screen)


def _further(programs: Path | None) -> Mapping[str, object]:
    if programs is None:
        return {}
    try:
        found = json.loads(programs.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LoraformError(
            f"{programs} is not JSON: {error}", 'Such as {"my/image": ["python", "-m", "mine"]}'
        ) from error
    if not isinstance(found, dict):
        raise LoraformError(f"{programs} holds no mapping.", 'Such as {"my/image": ["python", "-m", "mine"]}')
    return found


def _where(server: local.Server, what: str) -> str:
    return "\n".join(
        [
            f"The embedded Vertex AI {what}: {server.url}  (process {server.pid})",
            f"  state  {server.folder}",
            f"  log    {server.log}",
        ]
    )


def _until_it_ends(server: local.Server, screen: Screen) -> int:
    """Stay until the server ends by itself or this process is asked to end; then leave no process behind."""

    def asked(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, asked)
    try:
        psutil.Process(server.pid).wait()
        screen.note(f"It has ended. Its log: {server.log}")
        return 0 if local.running(server.folder) is None else 1
    except KeyboardInterrupt:
        screen.note("Stopping.")
        local.stop(server, waiting=lambda spent: screen.meanwhile(f"Waiting for its programs to end, {spent:.0f} s"))
        return 0
    except psutil.NoSuchProcess:
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)
