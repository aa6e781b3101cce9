"""Appliers that run one at a time: each stands still at every request and every sleep, until it is chosen.

There is one baton. Whoever asks for something chooses who goes on, so that an applier that is alone, or chosen again,
never waits for another thread. A killed actor's requests have no effect any more.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from reconciler.cloud.clock import Clock
from reconciler.core.changes import Plan
from tests.soak.cloud import Time


def _taken() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


class Killed(BaseException):
    """The process of an actor was ended: nothing of ours may catch this."""


@dataclass(frozen=True, slots=True)
class Request:
    """What an actor wants: an effect on the world, or (`act` None) to go on no sooner than `wake`."""

    words: str
    act: Callable[[], Any] | None = None
    wake: float = 0.0
    mutates: bool = False
    method: str = ""
    message: Any = None
    name: str = ""
    """The object in the bucket that it is about."""

    @property
    def place(self) -> str:
        """The kind of request: a method, or a verb and the folder in the bucket."""
        return self.method or "/".join(self.words.split("/")[:1])


BEGIN = Request("begin")


@dataclass(slots=True, eq=False)
class Tick:
    """Something that an actor does again and again in the background."""

    seconds: float
    act: Callable[[], None]
    due: float


@dataclass(slots=True, eq=False)
class Actor:
    """One pass of one applier. `plan` is what it has seen, `error` how it ended when not well."""

    name: str
    time: Time
    work: Callable[[], Any] = lambda: None
    plan: Plan | None = None
    request: Request = BEGIN
    error: BaseException | None = None
    killed: bool = False
    over: bool = False
    result: Any = None
    stale: float = 0.0
    fleet: str = "acme"
    by_hand: str = ""
    """The experiment that a person does something to, without any plan."""
    punctual: bool = True
    """Does what it does in the background in time: renews its lease."""
    ticks: list[Tick] = field(default_factory=list)
    records: frozenset[str] = frozenset()
    """The stamps of the run records that were there when it began."""
    stage: Stage | None = None
    baton: threading.Lock = field(default_factory=_taken)

    def ask(self, request: Request) -> Any:
        """Called by the actor's own work: stand still until it is this one's turn, and do it.

        What it does in the background is done before that, when its time has come and `punctual` is not off.
        """
        assert self.stage is not None
        for tick in [tick for tick in self.ticks if self.punctual and tick.due <= self.time.now]:
            tick.due = math.inf  # none begins while it is under way
            tick.act()
            tick.due = self.time.now + tick.seconds
        return self.stage.ask(self, request)

    def clock(self) -> Clock:
        """Virtual time, in which to sleep is a request."""
        look = lambda: self.time.now  # noqa: E731
        sleep = lambda seconds: self.ask(Request("sleep", wake=self.time.now + max(seconds, 0.0)))  # noqa: E731
        return Clock(look, look, sleep, self._every)

    def _every(self, seconds: float, act: Callable[[], None]) -> Callable[[], None]:
        tick = Tick(seconds, act, self.time.now + seconds)
        self.ticks.append(tick)
        return lambda: self.ticks.remove(tick)


@dataclass(slots=True)
class Stage:
    """Runs actors to their ends. `choose` says who goes on, of those not over; `answer` what becomes of its request.

    An exception that `answer` returns is raised in the actor; one that either of them raises ends all, and the run.
    """

    actors: Sequence[Actor]
    choose: Callable[[list[Actor]], Actor]
    answer: Callable[[Actor, Request], Any]
    broken: BaseException | None = None
    _end: threading.Lock = field(default_factory=_taken)

    def run(self) -> None:
        """Let all actors run to their ends; the first one in this very thread. Raises what broke the run."""
        first, *others = self.actors
        for actor in self.actors:
            actor.stage = self
        for actor in others:
            threading.Thread(target=self._begin, args=(actor,), daemon=True, name=actor.name).start()
        self._pass_on(first)
        self._live(first)
        if others:
            self._end.acquire()
        if self.broken is not None:
            raise self.broken

    def ask(self, actor: Actor, request: Request) -> Any:
        """See `Actor.ask`."""
        if not actor.killed:
            actor.request = request
            self._pass_on(actor)
        if actor.killed:
            raise Killed
        try:
            found = self.answer(actor, request)
        except BaseException as error:
            self._break(error)
            raise Killed from error
        if isinstance(found, BaseException):
            raise found
        return found

    def _begin(self, actor: Actor) -> None:
        actor.baton.acquire()
        self._live(actor)

    def _live(self, actor: Actor) -> None:
        try:
            actor.result = actor.work()
        except BaseException as error:
            actor.error = error
        actor.over = True
        self._pass_on(actor)

    def _pass_on(self, actor: Actor) -> None:
        """Return when it is this actor's turn; at once when it is over."""
        active = [one for one in self.actors if not one.over]
        if not active:
            self._end.release()
            return
        chosen = self._chosen(active)
        if chosen is actor:
            return
        chosen.baton.release()
        if not actor.over:
            actor.baton.acquire()

    def _chosen(self, active: list[Actor]) -> Actor:
        if self.broken is None:
            try:
                return self.choose(active)
            except BaseException as error:
                self._break(error)
        return active[0]

    def _break(self, error: BaseException) -> None:
        self.broken = error
        for one in self.actors:
            one.killed = True


class OneByOne(Executor):
    """Carries out what is submitted at once, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
