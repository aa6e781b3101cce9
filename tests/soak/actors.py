"""Appliers that run one at a time: each in a thread of its own that stands still at every request and every sleep.

What becomes of a request is decided by whoever steps the actors; a killed actor's requests have no effect any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from reconciler.cloud.clock import Clock
from reconciler.core.changes import Plan
from tests.soak.cloud import Time


class Killed(BaseException):
    """The process of an actor was ended: nothing of ours may catch this."""


@dataclass(frozen=True, slots=True)
class Request:
    """What an actor wants: an effect on the world, or (`act` None) to sleep until `wake`."""

    words: str
    act: Callable[[], Any] | None = None
    wake: float = 0.0
    mutates: bool = False
    method: str = ""
    message: Any = None


@dataclass(slots=True)
class Actor:
    """One pass of one applier. `plan` is what it has seen, `error` how it ended when not well."""

    name: str
    time: Time
    plan: Plan | None = None
    request: Request | None = None
    answer: Any = None
    error: BaseException | None = None
    killed: bool = False
    over: bool = False
    result: Any = None
    stale: float = 0.0
    records: frozenset[str] = frozenset()
    """The stamps of the run records that were there when it began."""
    _turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _back: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def start(self, work: Callable[[], Any]) -> None:
        """Let `work` run up to its first request."""
        thread = threading.Thread(target=self._run, args=(work,), daemon=True, name=self.name)
        thread.start()
        self._back.acquire()

    def go_on(self, answer: Any) -> None:
        """Answer the request (an exception is raised there) and let the actor run up to its next one."""
        self.answer = answer
        self._turn.release()
        self._back.acquire()

    def ask(self, request: Request) -> Any:
        """Called by the actor's own thread: stand still until somebody answers."""
        if self.killed:
            raise Killed
        self.request = request
        self._back.release()
        self._turn.acquire()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def clock(self) -> Clock:
        """Virtual time, in which to sleep is a request."""
        look = lambda: self.time.now  # noqa: E731
        return Clock(look, look, lambda seconds: self.ask(Request("sleep", wake=self.time.now + max(seconds, 0.0))))

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            self.result = work()
        except BaseException as error:
            self.error = error
        self.over = True
        self._back.release()


class OneByOne(Executor):
    """Carries out what is submitted at once, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
