"""`loraform up`: start the embedded Vertex AI of this repository."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import psutil
import typer

from reconciler.cli import local
from reconciler.cli.root import find_root
from reconciler.cli.screen import Screen
from reconciler.core.errors import LoraformError


class Runner(StrEnum):
    """The embedded Vertex AI's own words."""

    auto = "auto"
    docker = "docker"
    local = "local"


PORT = typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)
STATE = typer.Option(help="Folder of its objects and databases. [default: .loraform/vertex]", show_default=False)
PROGRAMS = typer.Option(
    help="Programs for images of your own: a JSON file of image names and command lines.", show_default=False
)
TLS = typer.Option(
    "--tls", help="Answer with TLS too: clients of dedicated endpoints know no other way. ca.pem is what they trust."
)
STAND_INS = typer.Option(
    help="Folders that stand in for Google's base models in tuning jobs: a JSON file of model names and folders.",
    exists=True,
    dir_okay=False,
    resolve_path=True,
    show_default=False,
)
RUNNER = typer.Option(
    help="What runs images that no program stands for: docker, local (their commands, here), or auto (Docker if there)."
)
DETACH = typer.Option("--detach", "-d", help="Return as soon as it answers; `loraform down` stops it.")


def run(
    port: Annotated[int, PORT] = 0,
    state: Annotated[Path | None, STATE] = None,
    detach: Annotated[bool, DETACH] = False,
    programs: Annotated[Path | None, PROGRAMS] = None,
    tls: Annotated[bool, TLS] = False,
    stand_ins: Annotated[Path | None, STAND_INS] = None,
    runner: Annotated[Runner, RUNNER] = Runner.auto,
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
        # Before the start: a SIGTERM that comes while it starts must not leave a server behind.
        before = signal.signal(signal.SIGTERM, _asked)
        try:
            server = local.start(
                folder,
                port,
                detach=detach,
                further=_further(programs),
                options=[
                    "--runner",
                    runner.value,
                    *(["--tls"] if tls else []),
                    *(["--stand-ins", str(stand_ins)] if stand_ins else []),
                ],
                waiting=lambda spent: screen.meanwhile(f"Starting the embedded Vertex AI, {spent:.0f} s"),
            )
            try:
                screen.show(_where(server, "is up"))
                screen.show("Stop it with `loraform down`." if detach else "Stop it with Ctrl-C.")
                return 0 if detach else _until_it_ends(server, screen)
            except KeyboardInterrupt:
                screen.note("Stopping.")
                local.stop(server, waiting=lambda spent: screen.meanwhile(f"Its programs are ending, {spent:.0f} s"))
                return 0
        finally:
            signal.signal(signal.SIGTERM, before)


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
    secure = [f"  TLS    {server.tls_url}  (REQUESTS_CA_BUNDLE={server.folder / 'ca.pem'})"] if server.tls_url else []
    return "\n".join(
        [
            f"The embedded Vertex AI {what}: {server.url}  (process {server.pid})",
            *secure,
            f"  state  {server.folder}",
            f"  log    {server.log}",
        ]
    )


def _until_it_ends(server: local.Server, screen: Screen) -> int:
    """Stay until the server ends by itself; 0 when it was told to, as `loraform down` does, else 1."""
    try:
        code = psutil.Process(server.pid).wait()
    except psutil.NoSuchProcess:
        code = None
    screen.note(f"It has ended. Its log: {server.log}")
    return 0 if code in (None, 0, -signal.SIGTERM) else 1


def _asked(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
