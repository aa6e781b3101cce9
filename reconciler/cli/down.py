"""`loraform down`: stop the embedded Vertex AI of this repository and everything that it started."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli import local
from reconciler.cli.root import find_root
from reconciler.cli.screen import Screen

STATE = typer.Option(help="The folder that `loraform up` was given. [default: .loraform/vertex]", show_default=False)


def run(state: Annotated[Path | None, STATE] = None) -> int:
    """Stop the embedded Vertex AI. What it holds stays; `loraform up` brings it back."""

    folder = (state or find_root() / local.FOLDER).resolve()
    with Screen() as screen:

        def waiting(spent: float) -> None:
            screen.meanwhile(f"Waiting for its programs to end, {spent:.0f} s")

        server = local.running(folder)
        if server is None:
            ended = local.stop_leftovers(folder, waiting=waiting)
            screen.show("The embedded Vertex AI is not running.")
            if ended:
                screen.show(f"It had been killed: {ended} program{'s' * (ended != 1)} of it ended now.")
            return 0
        local.stop(server, waiting=waiting)
        screen.show(f"The embedded Vertex AI is down; what it holds stays in {folder}")
        return 0
