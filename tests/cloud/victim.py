"""An apply in a process of its own, to be killed: one call at a time, so that each is a boundary once.

The processes are forked from one that has the clients imported.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.process import BaseProcess
from pathlib import Path

from reconciler.cloud.reconcile import Wish, converge
from reconciler.cloud.site import open_site
from reconciler.core.resources import Resource
from reconciler.core.target import Target


def start(target: Target, root: Path, desired: tuple[Resource, ...], gate: Path) -> BaseProcess:
    """A process that applies `desired` for some seconds at most, once the file `gate` exists."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["google.cloud.aiplatform_v1", "google.cloud.storage", "tests.cloud.victim"])
    process = context.Process(target=live, args=(target, root, desired, gate))
    process.start()
    return process


def live(target: Target, root: Path, desired: tuple[Resource, ...], gate: Path) -> None:
    while not gate.exists():
        pass
    converge(open_site(target, root, parallelism=1), Wish(desired), deadline=6.0, interval=0.02)
