"""`loraform quickstart`: from a manifest to a tuned answer on this machine, with nothing pretended.

It does what a person would do with the other verbs, in their order, and then asks every question of the held-out
rows both of the base model and of the tuned one. It fails when the tuned one does not know the answers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli import local
from reconciler.cli.root import find_root
from reconciler.cli.screen import Screen
from reconciler.core.errors import LoraformError
from reconciler.render.words import clean

EXPERIMENT = "acme-support"
BASE = Path(".loraform/tiny-base")
EVAL = Path("experiments/data/acme-support/eval.jsonl")
SHOWN = 5
AT_LEAST, BELOW = 0.9, 0.2
"""What the tuned model must reach and the base must stay under, as shares of exactly right answers."""

KEEP = typer.Option("--keep", help="Leave the embedded Vertex AI running at the end.")


@dataclass(frozen=True, slots=True)
class Question:
    """One held-out row: what is asked, and the one right answer."""

    text: str
    expected: str


@dataclass(slots=True)
class Clock:
    """The time that each step took, in seconds."""

    steps: list[tuple[str, float]] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.steps.append((name, time.monotonic() - begun))


def run(keep: Annotated[bool, KEEP] = False) -> int:
    """Train a tiny model on sixty facts, serve it, and ask it: under four minutes, a second time under one.

    Run it in a clone of Loraform. Exit code 1 when fewer than 90 % of the held-out questions are answered right.
    """
    root = find_root()
    if not (root / EVAL).exists():
        raise LoraformError(f"There is no {EVAL} in {root}.", "The quickstart runs in a clone of Loraform itself.")
    clock = Clock()
    with Screen() as screen:
        folder = root / local.FOLDER
        before = local.running(folder)
        try:
            with _base_model(root, screen, clock):
                server = before or _start(folder, screen, clock)
            with clock.step("train, register, deploy"):
                code = _apply(screen)
            if code:
                screen.show(f"Look closer with `loraform status` and `loraform logs {EXPERIMENT}`.")
                return code
            with clock.step("ask"):
                passed = _ask_all(_questions(root / EVAL), screen)
        finally:
            stays = keep or before is not None
            if not stays and (running := local.running(folder)) is not None:
                with clock.step("stop"):
                    local.stop(running, waiting=lambda spent: screen.meanwhile(f"Stopping, {spent:.0f} s"))
        _close(screen, clock, server if stays else None)
    return 0 if passed else 1


@contextmanager
def _base_model(root: Path, screen: Screen, clock: Clock) -> Iterator[None]:
    """Make the base model in a process of its own while what is inside goes on; at the end it is there."""
    if not (root / BASE).exists():
        screen.show("Making a tiny base model: it can chat and knows none of the facts. Once, about a minute.")
    begun = time.monotonic()
    with clock.step("have the base model"):
        maker = subprocess.Popen(
            [sys.executable, "-m", "images.tiny", "--out", str(root / BASE)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield
            said = []
            assert maker.stdout is not None
            for line in maker.stdout:
                said.append(line.rstrip())
                screen.meanwhile(f"{clean(said[-1])} ({time.monotonic() - begun:.0f} s)")
            if maker.wait() != 0:
                raise LoraformError("The base model could not be made.", "\n".join(said[-8:]))
        finally:
            if maker.poll() is None:
                maker.terminate()
                maker.wait()
            if maker.stdout is not None:
                maker.stdout.close()


def _start(folder: Path, screen: Screen, clock: Clock) -> local.Server:
    with clock.step("start the embedded Vertex AI"):
        server = local.start(folder, detach=True, waiting=lambda spent: screen.meanwhile(f"Starting, {spent:.0f} s"))
    screen.show(f"The embedded Vertex AI is up: {server.url}")
    return server


def _apply(screen: Screen) -> int:
    from reconciler.cli.applying import apply_all
    from reconciler.cli.workplace import open_workplace

    return apply_all(open_workplace("local", [EXPERIMENT]), screen, wait=1800.0)


def _ask_all(questions: Sequence[Question], screen: Screen) -> bool:
    """Ask both models everything, print some of it side by side and both scores; True when they are as they should."""
    from reconciler.cli.asking import ask, instance, serving_endpoint
    from reconciler.cli.workplace import connect_only
    from reconciler.cloud.snapshot import take_snapshot

    site = connect_only("local")
    endpoint = serving_endpoint(take_snapshot(site.vertex, site.storage, site.target, ()), EXPERIMENT)

    def waiting(spent: float) -> None:
        screen.meanwhile(f"The server comes back, {spent:.0f} s")

    def answers(base: bool) -> list[str]:
        asked = [instance(question.text, base=base) for question in questions]
        return ask(site.vertex, endpoint, asked, patience=180.0, waiting=waiting)

    tuned, base = answers(False), answers(True)
    screen.show(f"\n{len(questions)} questions that were in no training row, asked of the endpoint:\n")
    step = max(len(questions) // SHOWN, 1)
    for number in range(min(SHOWN, len(questions))):
        index = (number * step + number) % len(questions)  # the rows come in groups: take another one of each
        question = questions[index]
        screen.show(f"  {clean(question.text)}")
        screen.show(f"      base    {clean(base[index], 70)}")
        screen.show(f"      tuned   {clean(tuned[index], 70)}")
        screen.show(f"      right   {clean(question.expected, 70)}")
    scores = [
        sum(answer == question.expected for answer, question in zip(found, questions, strict=True))
        for found in (base, tuned)
    ]
    shares = [score / len(questions) for score in scores]
    screen.show(
        f"\n  base   {scores[0]:>4} of {len(questions)} exactly right  ({shares[0]:.0%}; must be under {BELOW:.0%})"
    )
    screen.show(
        f"  tuned  {scores[1]:>4} of {len(questions)} exactly right  ({shares[1]:.0%}; must be at least {AT_LEAST:.0%})"
    )
    return shares[1] >= AT_LEAST and shares[0] < BELOW


def _questions(path: Path) -> list[Question]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        turns = json.loads(line)["messages"]
        found.append(Question(turns[-2]["content"], turns[-1]["content"].strip()))
    return found


def _close(screen: Screen, clock: Clock, server: local.Server | None) -> None:
    screen.show("")
    for name, seconds in clock.steps:
        screen.show(f"  {seconds:>6.1f} s  {name}")
    screen.show(f"  {time.monotonic() - clock.begun:>6.1f} s  in all")
    ways = [
        (f'loraform predict {EXPERIMENT} "..."', "ask it yourself; --base asks the base model"),
        ("loraform status", "see what is live"),
        ("loraform plan", f"after a change in experiments/{EXPERIMENT}.yaml: see what it would cost"),
    ]
    if server is None:
        ways.insert(0, ("loraform up --detach", "start the embedded Vertex AI again; it serves what it served"))
    else:
        ways.append(("loraform down", "stop the embedded Vertex AI"))
    width = max(len(command) for command, _ in ways)
    screen.show("\nGo on:")
    for command, what in ways:
        screen.show(f"  {command:<{width}}   {what}")
