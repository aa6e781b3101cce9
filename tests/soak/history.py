"""One history: from a seed, steps that edit git, let the world go on, and run appliers under faults.

Every step draws from a source of its own, so that leaving one out changes no other; the same steps always bring the
same history. The laws are checked where they can be broken: at each request, and after each step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Literal, TypeAlias

from reconciler.cloud import retry
from reconciler.cloud.errors import Unreachable, from_answer
from reconciler.cloud.limits import UNLIMITED, Quotas
from reconciler.cloud.reconcile import Pass, Wish, one_pass
from reconciler.cloud.site import Site
from reconciler.cloud.storage import Storage
from reconciler.cloud.vertex import Vertex
from reconciler.core.changes import Action, Plan
from reconciler.core.errors import LoraformError
from reconciler.core.guardrails import NO_LIMITS
from tests.soak import repository
from tests.soak.actors import Actor, Killed, OneByOne, Request, Stage
from tests.soak.cloud import BUCKET, Cloud, open_cloud
from tests.soak.laws import Broken, Laws
from tests.soak.ports import StoragePort, VertexPort
from tests.soak.repository import TARGET, Tree
from tests.soak.strangers import move_in
from tests.soak.trainers import Trainers

Kind: TypeAlias = Literal["edit", "revert", "work", "time", "apply", "race"]
WEIGHTS: dict[Kind, int] = {"edit": 4, "revert": 1, "work": 4, "time": 2, "apply": 6, "race": 3}
_HOLDER = re.compile(r"\S+@\S+/\d+/\w+")
"""The name of an applier, which tells the process and is never the same."""
PASSES = 40
"""Within so many passes a fleet must be as git wants it, once nothing goes wrong any more."""
REFUSALS = (
    "Resources are insufficient in region: europe-west4.",
    "Model server exited unexpectedly (status 1).",
    "The quota for custom_model_serving_nvidia_l4_gpus has been exceeded.",
)


@dataclass(frozen=True, slots=True)
class Step:
    """What is done, and the seed of everything about it that is random."""

    kind: Kind
    seed: int


def steps_of(seed: int, count: int) -> tuple[Step, ...]:
    """The steps of a seed: first a commit, then anything."""
    random = Random(seed)
    kinds = random.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)
    return tuple(Step(kind, random.getrandbits(32)) for kind in ["edit", *kinds[1:]])


@dataclass(frozen=True, slots=True)
class Told:
    """How a history went: what happened, line by line, and the law that was broken, if any was."""

    lines: tuple[str, ...]
    broken: str = ""
    requests: int = 0


def run(steps: Iterable[Step]) -> Told:
    """Live through the steps, then let the fleet converge."""
    with open_cloud() as cloud:
        history = History(cloud)
        try:
            for step in steps:
                history.say(f"-- {step.kind}")
                getattr(history, f"_{step.kind}")(Random(step.seed))
                history.laws.after_step(history.trainers)
            history.converge()
        except Broken as broken:
            return Told(tuple(history.lines), str(broken), history.requests)
        return Told(tuple(history.lines), "", history.requests)


@dataclass(slots=True)
class History:
    """What a history consists of: the cloud, the commits so far, who trains, and what was told."""

    cloud: Cloud
    trainers: Trainers = field(init=False)
    laws: Laws = field(init=False)
    commits: list[Tree] = field(default_factory=lambda: [()])
    lines: list[str] = field(default_factory=list)
    count: int = 0
    requests: int = 0

    def __post_init__(self) -> None:
        move_in(self.cloud)
        self.trainers, self.laws = Trainers(self.cloud), Laws(self.cloud)

    def say(self, line: str) -> None:
        """Tell something, with the seconds since the beginning."""
        self.lines.append(f"{self.cloud.time.now - 1_800_000_000:9.1f}  {line}")

    def _edit(self, random: Random) -> None:
        for _ in range(random.choice((1, 1, 2))):
            tree, message = repository.edited(self.commits[-1], random)
            self.commits.append(tree)
            self.say(message)

    def _revert(self, random: Random) -> None:
        back = random.randrange(len(self.commits))
        self.commits.append(self.commits[back])
        self.say(f"revert to commit {back}")

    def _time(self, random: Random) -> None:
        self.cloud.time.now += random.choice((5, 30, 120, 400, 700, 4000))

    def _work(self, random: Random, well: bool = False) -> None:
        for line in self.trainers.go_on(random, well=well):
            self.say(line)
        self.laws.before_traffic_moves()
        refusal = random.choice(REFUSALS) if not well and random.random() < 0.2 else ""
        self.cloud.deployments_go_on(refusal)
        if refusal:
            self.say(f"no server starts: {refusal}")
        self.laws.look_at_traffic()

    def _apply(self, random: Random) -> None:
        self._let_run([self.begin(random, self.commits[-1])], random)

    def _race(self, random: Random) -> None:
        other = random.choice(self.commits[-2:])
        self._let_run([self.begin(random, self.commits[-1]), self.begin(random, other)], random)

    def converge(self) -> None:
        """No more faults: the world goes well, and passes must come to an end."""
        self.say("-- from now on all goes well")
        self.commits.append(repository.all_raised(self.commits[-1]))
        random = Random(0)
        for _ in range(PASSES):
            self.cloud.time.now += 700
            self._work(random, well=True)
            self._work(random, well=True)
            actor = self.begin(random, self.commits[-1])
            self._let_run([actor], random, calm=True)
            self.laws.after_step(self.trainers)
            seen: Pass | None = actor.result
            if seen is not None and seen.settled:
                self.laws.at_rest(seen.plan)
                return
        raise Broken(f"not at rest after {PASSES} passes: {_unsettled(actor.plan)}")

    def begin(self, random: Random, tree: Tree) -> Actor:
        """An applier that sets out to make the world as `tree` wants it; a stage lets it run."""
        self.count += 1
        actor = Actor(f"actor-{self.count}", self.cloud.time)
        actor.records = self.trainers.records()
        self.laws.begin(actor, repository.serving(tree), repository.serving(self.commits[-1]))
        clock = actor.clock()
        patience = retry.Patience(jitter=random.random)
        vertex = Vertex(TARGET, clock, patience, Quotas(clock, UNLIMITED, UNLIMITED), partial(self._port, actor))
        storage = Storage(StoragePort(self.cloud, actor), BUCKET, clock, patience)
        site = Site(TARGET, vertex, storage, Path(), clock, OneByOne, appliers=OneByOne)
        limits = NO_LIMITS
        wish = Wish(repository.resources(tree), commit=f"{self.commits.index(tree):040x}", limits=limits)

        actor.work = lambda: one_pass(site, wish, on_plan=partial(setattr, actor, "plan"))
        return actor

    def _port(self, actor: Actor, service: str, address: str) -> VertexPort:
        return VertexPort(self.cloud, actor, service)

    def _let_run(self, actors: list[Actor], random: Random, calm: bool = False) -> None:
        trouble = 0.0 if calm else random.choice((0.0, 0.02, 0.1))
        fate = {actor.name: -1 if calm or random.random() < 0.6 else random.randrange(50) for actor in actors}
        for actor in actors:
            actor.stale = 0.0 if calm else random.choice((0.0, 0.0, random.uniform(0, 600)))
            actor.punctual = calm or random.random() < 0.7

        def choose(active: list[Actor]) -> Actor:
            chosen = self.awake(active, random)
            fate[chosen.name] -= 1
            if not calm and random.random() < 0.03:
                self._meanwhile(random)
            return chosen

        def answer(actor: Actor, request: Request) -> Any:
            return self._answer(actor, request, random, trouble, killed=fate[actor.name] == 0)

        Stage(actors, choose, answer).run()
        for actor in actors:
            self._over(actor)

    def awake(self, active: list[Actor], random: Random) -> Actor:
        """One of those that do not sleep; when all sleep, time passes until the first one wakes."""
        while not (awake := [actor for actor in active if actor.request.wake <= self.cloud.time.now]):
            self.cloud.time.now = min(actor.request.wake for actor in active)
        return random.choice(awake)

    def _meanwhile(self, random: Random) -> None:
        if random.random() < 0.5:
            self.cloud.time.now += random.choice((1, 20, 50, 70))
        else:
            self._work(random)

    def _answer(self, actor: Actor, request: Request, random: Random, trouble: float, *, killed: bool) -> Any:
        if request.act is None:
            return None
        self.requests += 1
        before, after = random.random() < 0.5, random.random() < trouble
        answer: Any = None
        if killed:
            actor.killed = True
            self.say(f"{actor.name} is killed {'before' if before else 'after'} {request.words}")
            answer = Killed()
        elif after:
            answer = _fault(random, before=before)
            self.say(f"{actor.name} {request.words}: {answer} {'before' if before else 'after'} its effect")
        if (killed or after) and before:
            return answer
        found = self._perform(actor, request)
        return answer if answer is not None else found

    def _perform(self, actor: Actor, request: Request) -> Any:
        assert request.act is not None
        self.laws.before(actor, request)
        try:
            found = request.act()
        except LoraformError as error:
            if request.mutates:
                self.say(f"{actor.name} {request.words}: {error.message[:150]}")
            return error
        if request.mutates:
            self.say(f"{actor.name} {request.words}")
        self.laws.after(actor, request)
        return found

    def _over(self, actor: Actor) -> None:
        self.laws.end(actor)
        error = actor.error
        if error is None:
            self.say(f"{actor.name} is done: {_unsettled(actor.plan) or 'all in sync'}")
        elif isinstance(error, (Killed, LoraformError)):
            self.say(f"{actor.name} ends: {_HOLDER.sub('somebody', str(error))}")
        else:
            raise Broken(f"{actor.name}: {type(error).__name__}: {error}") from error


def _fault(random: Random, *, before: bool) -> Exception:
    if before and random.random() < 0.3:
        return from_answer(429, "RESOURCE_EXHAUSTED", "Too many requests.", "it")
    if random.random() < 0.5:
        return from_answer(503, "UNAVAILABLE", "The service is unavailable.", "it")
    return Unreachable("the connection broke", sent=not before or random.random() < 0.5)


def _unsettled(plan: Plan | None) -> str:
    changes = plan.changes if plan else ()
    return ", ".join(
        f"{change.address} {change.action} ({change.reason})" for change in changes if change.action is not Action.NOOP
    )
