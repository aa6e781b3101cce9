"""Everything that one pass touches, wired once: the target, its Vertex AI, its bucket, the repository's files."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from reconciler.cloud.claims import ttl_of
from reconciler.cloud.clock import Clock
from reconciler.cloud.logs import log_tail
from reconciler.cloud.rest import Rest
from reconciler.cloud.storage import Storage, connect_storage
from reconciler.cloud.vertex import Vertex, connect
from reconciler.core.resources import LiveResource
from reconciler.core.target import Target
from reconciler.core.world import Patience

Workers: TypeAlias = Callable[[], Executor]
EIGHT: Workers = partial(ThreadPoolExecutor, 8)
"""Eight requests of one look are in flight at a time."""
PARALLELISM = 10
TEN: Workers = partial(ThreadPoolExecutor, PARALLELISM)
"""So many changes of one apply are carried out at a time, unless a person says otherwise."""


Tail: TypeAlias = Callable[[LiveResource], tuple[str, ...]]


def no_log(live: LiveResource) -> tuple[str, ...]:
    """For where nobody keeps logs."""
    return ()


@dataclass(frozen=True, slots=True)
class Site:
    """A target with its connections. `root` is the folder that `Resource.uploads` are relative to."""

    target: Target
    vertex: Vertex
    storage: Storage
    root: Path
    clock: Clock
    workers: Workers = EIGHT
    """What carries out the requests of one look side by side; a simulation wants them one after the other."""
    tail: Tail = no_log
    """The last lines of the log of something that failed."""
    appliers: Workers = TEN
    """What carries out the changes of one apply; with one worker, or one that acts at once, the order is the plan's."""

    @property
    def patience(self) -> Patience:
        """How long the planner waits on this target: the embedded one forgets the dead sooner."""
        if not self.target.local:
            return Patience(claim=ttl_of(self.target))
        return Patience(claim=ttl_of(self.target), backoff=5.0)


def open_site(target: Target, root: Path, clock: Clock | None = None, parallelism: int = PARALLELISM) -> Site:
    """Connect to a target. Nothing is sent yet.

    An apply carries out `parallelism` changes at a time.
    """
    clock = clock or Clock()
    rest = Rest(target)
    vertex, storage = connect(target, clock, rest=rest), connect_storage(target, clock, rest=rest)
    appliers = partial(ThreadPoolExecutor, parallelism)
    return Site(target, vertex, storage, root, clock, tail=partial(log_tail, vertex), appliers=appliers)
