"""`loraform predict`: one question to what serves an experiment, through the prediction API."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli import options
from reconciler.cli.screen import Screen

PROMPT = typer.Argument(help="The question.", show_default=False)
BASE = typer.Option("--base", help="Ask the base model instead, on the same server.")
MAX_TOKENS = typer.Option(help="The longest answer. [default: what serving.generation says]", min=1, show_default=False)
WAITING = 120.0
"""Seconds that a replica may take to come back."""


def run(
    name: Annotated[str, options.NAME],
    prompt: Annotated[str, PROMPT],
    base: Annotated[bool, BASE] = False,
    max_tokens: Annotated[int | None, MAX_TOKENS] = None,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """Ask the served model one question and print its answer."""
    from reconciler.cli.asking import ask, instance, serving_endpoint
    from reconciler.cli.workplace import connect_only
    from reconciler.cloud.snapshot import take_snapshot
    from reconciler.render.words import clean

    with Screen() as screen:
        site = connect_only(target)
        snapshot = take_snapshot(site.vertex, site.storage, site.target, ())
        (answer,) = ask(
            site.vertex,
            serving_endpoint(snapshot, name),
            [instance(prompt, base=base, max_tokens=max_tokens)],
            patience=WAITING,
            waiting=lambda spent: screen.meanwhile(f"The server of {name} is not ready yet, {spent:.0f} s"),
        )
        screen.show("\n".join(clean(line) for line in answer.split("\n")))
    return 0
