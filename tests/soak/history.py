"""One history: steps that edit git, let the world go on, and run appliers under faults, in virtual time.

The same steps always bring the same history. The laws are checked where they can be broken: at each request, and after
each step. How it must end is `convergence.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from reconciler.cloud import retry, verbs
from reconciler.cloud.limits import UNLIMITED, Quotas
from reconciler.cloud.reconcile import Wish, look, one_pass
from reconciler.cloud.site import Site
from reconciler.cloud.storage import Storage
from reconciler.cloud.vertex import Vertex
from reconciler.core.changes import Action, Plan
from reconciler.core.errors import LoraformError
from reconciler.core.guardrails import NO_LIMITS, Limits
from tests.soak import repository
from tests.soak.actors import Actor, Killed, OneByOne, Request, Stage
from tests.soak.cloud import BUCKET, Cloud
from tests.soak.faults import REFUSALS, fault
from tests.soak.hands import CONSOLE, VERBS, in_console
from tests.soak.laws import Broken, Laws
from tests.soak.ports import StoragePort, VertexPort
from tests.soak.repository import TARGETS, Tree
from tests.soak.steps import Step
from tests.soak.strangers import move_in
from tests.soak.trainers import FLEETS, Trainers

HOME = FLEETS[0]
STRICT = Limits(new_runs=1, deletes=0, delete_share=0.0)
"""Guards that a small fleet runs into."""
_HOLDER = re.compile(r"\S+@\S+/\d+/\w+")
"""The name of an applier, which tells the process and is never the same."""


@dataclass(slots=True)
class History:
    """What a history consists of: the cloud, the commits so far, who trains, what was told, and how often what was."""

    cloud: Cloud
    trainers: Trainers = field(init=False)
    laws: Laws = field(init=False)
    trees: dict[str, list[Tree]] = field(default_factory=lambda: {fleet: [()] for fleet in FLEETS})
    """The commits of each fleet's repository, oldest first."""
    lines: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    last_plan: str = ""
    count: int = 0
    requests: int = 0

    def __post_init__(self) -> None:
        move_in(self.cloud)
        self.trainers, self.laws = Trainers(self.cloud), Laws(self.cloud)

    @property
    def commits(self) -> list[Tree]:
        """The commits of the fleet that the history is about."""
        return self.trees[HOME]

    def live(self, step: Step) -> None:
        """Do one step, and check the laws after it."""
        self.say(f"-- {step.kind}")
        self.counts[f"step {step.kind}"] += 1
        steps: dict[str, Callable[[Random], None]] = {
            "edit": self.edit,
            "revert": self._revert,
            "work": self.work,
            "time": self._time,
            "apply": self._apply,
            "race": self._race,
            "hand": self._hand,
            "other": self._other,
        }
        steps[step.kind](Random(step.seed))
        self.laws.after_step(self.trainers)

    def say(self, line: str) -> None:
        """Tell something, with the seconds since the beginning."""
        self.lines.append(f"{self.cloud.time.now - 1_800_000_000:9.1f}  {line}")

    def edit(self, random: Random, fleet: str = HOME) -> None:
        """One commit or two."""
        for _ in range(random.choice((1, 1, 2))):
            tree, message = repository.edited(self.trees[fleet][-1], random)
            self.trees[fleet].append(tree)
            self.counts[f"edit {message.split()[0]}"] += 1
            self.say(f"{message} in {fleet}")

    def _revert(self, random: Random) -> None:
        back = random.randrange(len(self.commits))
        self.commits.append(self.commits[back])
        self.say(f"revert to commit {back}")

    def _time(self, random: Random) -> None:
        self.cloud.time.now += random.choice((5, 30, 120, 400, 700, 4000))

    def work(self, random: Random, *, well: bool = False) -> None:
        """Jobs and deployments go on."""
        for line in self.trainers.go_on(random, well=well):
            self.say(line)
        self.laws.look_at_traffic()
        refusal = random.choice(REFUSALS) if not well and random.random() < 0.2 else ""
        self.cloud.deployments_go_on(refusal)
        if refusal:
            self.say(f"no server starts: {refusal}")
        self.laws.look_at_traffic()

    def _apply(self, random: Random) -> None:
        self.let_run([self._applier(random, self.commits[-1])], random)

    def _race(self, random: Random) -> None:
        other = random.choice(self.commits[-2:])
        self.let_run([self._applier(random, self.commits[-1]), self._applier(random, other)], random)

    def _other(self, random: Random) -> None:
        """The other fleet of the project, from a repository of its own, perhaps at the same time."""
        fleet = FLEETS[1]
        self.edit(random, fleet)
        actors = [self.begin(random, self.trees[fleet][-1], fleet=fleet)]
        if random.random() < 0.5:
            actors.append(self._applier(random, self.commits[-1]))
        self.let_run(actors, random)

    def _hand(self, random: Random) -> None:
        """Somebody does something without git, perhaps while somebody else applies."""
        deed = random.choice((*VERBS, *CONSOLE, "prune", "replicas"))
        names = sorted(name for name, _ in self.commits[-1])
        if deed not in VERBS:
            wanted = frozenset(one.stamp for one in repository.resources(self.commits[-1]) if one.once)
            done = in_console(self.cloud, self.laws, wanted, deed, random)
            self.counts[f"hand {deed}"] += bool(done)
            self.say(done or f"nobody can: {deed}")
        elif names:
            self.counts[f"hand {deed}"] += 1
            actors = [self.by_hand(random, deed, random.choice(names))]
            if random.random() < 0.4:
                actors.append(self._applier(random, self.commits[-1]))
            self.let_run(actors, random)

    def _applier(self, random: Random, tree: Tree) -> Actor:
        """An applier as people have them: mostly plain, sometimes with guards, a selection or an accepted plan."""
        limits = STRICT if random.random() < 0.1 else NO_LIMITS
        names = [name for name, _ in tree]
        only = frozenset(random.sample(names, 1)) if names and random.random() < 0.1 else None
        expect = self.last_plan if random.random() < 0.05 else ""
        return self.begin(random, tree, limits=limits, only=only, expect=expect)

    def begin(
        self,
        random: Random,
        tree: Tree,
        *,
        fleet: str = HOME,
        limits: Limits = NO_LIMITS,
        only: frozenset[str] | None = None,
        expect: str = "",
        acts: bool = True,
    ) -> Actor:
        """An applier that sets out to make the world as `tree` wants it, or only looks; a stage lets it run."""
        actor = self._actor(fleet)
        commits = self.trees[fleet]
        self.laws.begin(actor, repository.serving(tree), repository.serving(commits[-1]))
        site = self.site(actor, random)
        desired = repository.resources(tree, fleet)
        wish = Wish(desired, commit=f"{commits.index(tree):040x}", only=only, limits=limits)
        if acts:
            actor.work = lambda: one_pass(site, wish, expect=expect, on_plan=partial(setattr, actor, "plan"))
        else:
            actor.work = lambda: look(site, wish)
        return actor

    def by_hand(self, random: Random, verb: str, name: str) -> Actor:
        """Somebody with one of the verbs that know no plan."""
        actor = self._actor(HOME)
        actor.by_hand = name
        head = repository.serving(self.commits[-1])
        self.laws.begin(actor, head - {name}, head)
        site = self.site(actor, random)
        actor.work = lambda: getattr(verbs, verb)(site, name)
        self.say(f"{actor.name} says: loraform {verb} {name}")
        return actor

    def _actor(self, fleet: str) -> Actor:
        self.count += 1
        return Actor(f"actor-{self.count}", self.cloud.time, fleet=fleet, records=self.trainers.records(fleet))

    def site(self, actor: Actor, random: Random) -> Site:
        """All that an actor touches, as it sees it."""
        target, clock = TARGETS[actor.fleet], actor.clock()
        patience = retry.Patience(jitter=random.random)
        vertex = Vertex(target, clock, patience, Quotas(clock, UNLIMITED, UNLIMITED), partial(self._port, actor))
        storage = Storage(StoragePort(self.cloud, actor), BUCKET, clock, patience)
        return Site(target, vertex, storage, Path(), clock, OneByOne, appliers=OneByOne)

    def _port(self, actor: Actor, service: str, address: str) -> VertexPort:
        return VertexPort(self.cloud, actor, service)

    def let_run(self, actors: list[Actor], random: Random, *, calm: bool = False) -> None:
        """Let actors run to their ends, side by side; without faults when `calm`."""
        trouble = 0.0 if calm else random.choice((0.0, 0.02, 0.1))
        fates = {actor.name: _fate(random, calm=calm) for actor in actors}
        for actor in actors:
            actor.stale = 0.0 if calm else random.choice((0.0, 0.0, random.uniform(0, 600)))
            actor.punctual = calm or random.random() < 0.7

        def choose(active: list[Actor]) -> Actor:
            chosen = self.awake(active, random)
            if not calm and random.random() < 0.03:
                self._meanwhile(random)
            return chosen

        def answer(actor: Actor, request: Request) -> Any:
            fate = fates[actor.name]
            fate.left -= fate.counts(request)
            return self._answer(actor, request, random, trouble, killed=fate.left == 0)

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
            self.work(random)

    def _answer(self, actor: Actor, request: Request, random: Random, trouble: float, *, killed: bool) -> Any:
        if request.act is None:
            return None
        self.requests += 1
        if killed:
            actor.killed = True
            before = random.random() < 0.5
            self.counts[f"crash {'before' if before else 'after'} {request.place}"] += 1
            self.say(f"{actor.name} is killed {'before' if before else 'after'} {request.words}")
            if not before:
                self._perform(actor, request)
            return Killed()
        if random.random() >= trouble * (2 if request.mutates else 1):
            return self._perform(actor, request)
        struck = fault(random, request.method)
        self.counts[f"fault {struck.word}: {request.place}"] += 1
        self.say(f"{actor.name} {request.words}: {struck.word}")
        if struck.effect:
            self._perform(actor, request)
        return struck.error

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
            self.counts[f"call {request.place}"] += 1
            self.say(f"{actor.name} {request.words}")
        self.laws.after(actor, request)
        return found

    def _over(self, actor: Actor) -> None:
        self.laws.end(actor)
        error = actor.error
        if actor.plan is not None:
            self.last_plan = actor.plan.id
            self.counts.update(f"row {change.action}: {change.reason}" for change in actor.plan.changes)
        if error is None:
            self.say(f"{actor.name} is done: {unsettled(actor.plan) or 'all in sync'}")
        elif isinstance(error, (Killed, LoraformError)):
            self.counts[f"end {type(error).__name__}"] += 1
            self.say(f"{actor.name} ends: {_HOLDER.sub('somebody', str(error))}")
        else:
            raise Broken(f"{actor.name}: {type(error).__name__}: {error}") from error


@dataclass(slots=True)
class Fate:
    """After how many requests, or writes of more than the lease, an applier is killed; below zero it lives."""

    left: int
    of_writes: bool

    def counts(self, request: Request) -> bool:
        """Whether the request is one of those."""
        if request.act is None:
            return False
        return not self.of_writes or (request.mutates and not request.name.endswith("lease.json"))


def _fate(random: Random, *, calm: bool) -> Fate:
    of_writes = random.random() < 0.7
    lives = calm or random.random() < 0.6
    return Fate(-1 if lives else 1 + random.randrange(10 if of_writes else 60), of_writes)


def unsettled(plan: Plan | None) -> str:
    """All that a plan does not find in sync, in words."""
    changes = plan.changes if plan else ()
    return ", ".join(
        f"{change.address} {change.action} ({change.reason})" for change in changes if change.action is not Action.NOOP
    )
