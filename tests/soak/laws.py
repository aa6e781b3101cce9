"""The laws that no history may break, each checked at the moment at which it can be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from reconciler.core.changes import Action, Plan, Reason
from reconciler.core.resources import Role
from tests.soak.actors import Actor, Request
from tests.soak.cloud import Cloud
from tests.soak.strangers import footprint
from tests.soak.trainers import Trainers

FLEET, EXPERIMENT, IDENTITY = "loraform-fleet", "loraform-experiment", "loraform-identity"
REMOVING = frozenset(
    ("CancelCustomJob", "DeleteCustomJob", "DeleteEndpoint", "DeleteModel", "DeleteModelVersion", "UndeployModel")
)


class Broken(Exception):
    """A law was broken; the message says which, and how."""


@dataclass(slots=True)
class Laws:
    """What must be remembered to tell whether a law is broken."""

    cloud: Cloud
    served: set[str] = field(default_factory=set)
    """The experiments whose endpoints have had traffic on something that serves, and git wants that still."""
    wishes: dict[str, frozenset[str]] = field(default_factory=dict)
    """The experiments that each active actor wants to serve."""
    strangers: dict[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        rows = self.cloud.rows()
        self.strangers = footprint(rows, frozenset(row.name for row in rows))

    def begin(self, actor: Actor, wanted: frozenset[str], head: frozenset[str]) -> None:
        """An actor sets out to bring about a commit."""
        self.wishes["git"] = head
        self.wishes[actor.name] = wanted

    def end(self, actor: Actor) -> None:
        """The actor's pass is over."""
        self.wishes.pop(actor.name, None)

    def before(self, actor: Actor, request: Request) -> None:
        """Nothing is removed that the actor's plan did not name."""
        if request.method not in REMOVING:
            return
        message = request.message
        name = getattr(message, "name", "") or f"{message.endpoint}#{message.deployed_model_id}"
        plan = actor.plan
        named = {
            change.before.name
            for change in (plan.changes if plan else ())
            if change.action in (Action.DELETE, Action.CANCEL) and change.before
        }
        if name not in named:
            raise Broken(f"{actor.name} {request.words} of {name}, which its plan does not name")

    def after(self, actor: Actor, request: Request) -> None:
        """No second live job of an identity, none of what is trained; traffic stays where it was wanted."""
        if request.method == "CreateCustomJob":
            self._look_at_jobs(actor, request.message.custom_job.labels[IDENTITY])
        elif request.words.startswith("EndpointService") and request.mutates:
            self.look_at_traffic()

    def before_traffic_moves(self) -> None:
        """Notice what serves now."""
        self.look_at_traffic()

    def look_at_traffic(self) -> None:
        """An endpoint that served has traffic on something that serves, unless git or an actor says otherwise."""
        healthy = {
            endpoint.labels[EXPERIMENT]
            for endpoint in self.cloud.endpoints()
            if endpoint.labels[FLEET] == "acme" and _has_traffic(endpoint)
        }
        wanted = frozenset.intersection(*self.wishes.values()) if self.wishes else frozenset()
        dropped = sorted((self.served - healthy) & wanted)
        if dropped:
            raise Broken(f"the endpoint of {dropped[0]} served and does so no more")
        self.served = healthy

    def after_step(self, trainers: Trainers) -> None:
        """What is not ours is as it was; nothing was trained twice at the same time."""
        if footprint(self.cloud.rows(), frozenset(self.strangers)) != self.strangers:
            raise Broken("something that is not ours was touched")
        if trainers.doubles:
            raise Broken(f"two trainers of {trainers.doubles[0]} at the same time")

    def at_rest(self, plan: Plan) -> None:
        """At the end only gates hold anything."""
        held = [change for change in plan.changes if change.action is Action.HOLD]
        wrong = [change for change in held if change.reason is not Reason.GATE]
        if wrong:
            raise Broken(f"{wrong[0].address} is held at the end: {wrong[0].reason} {wrong[0].detail}")
        waiting = {change.address.experiment for change in held}
        for change in plan.changes:
            if change.address.role is Role.DEPLOYMENT and change.address.experiment not in waiting | self.served:
                raise Broken(f"{change.address} is in sync at the end and has no traffic")

    def _look_at_jobs(self, actor: Actor, stamp: str) -> None:
        live = Counter(job.labels[IDENTITY] for job in self.cloud.live_jobs() if job.labels[FLEET] == "acme")
        if live[stamp] > 1:
            raise Broken(f"{actor.name} made a second live job of {stamp}")
        if stamp in actor.records:
            raise Broken(f"{actor.name} made a job for {stamp}, which was trained before it began")


def _has_traffic(endpoint: Any) -> bool:
    return any(endpoint.traffic_split.get(one.id, 0) for one in endpoint.deployed_models)
