"""The laws that no history may break, each checked at the moment at which it can be."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from reconciler.core.changes import Action, Change, Plan, Reason
from reconciler.core.resources import RUNS, Role
from tests.soak.actors import Actor, Request
from tests.soak.cloud import Cloud
from tests.soak.strangers import footprint
from tests.soak.trainers import Trainers

FLEET, EXPERIMENT, IDENTITY, ROLE = "loraform-fleet", "loraform-experiment", "loraform-identity", "loraform-role"
SUSPENDED = "loraform-suspended"
REMOVING = frozenset(
    ("CancelCustomJob", "DeleteCustomJob", "DeleteEndpoint", "DeleteModel", "DeleteModelVersion", "UndeployModel")
)
WRITING = {
    "CreateCustomJob": ((Action.CREATE,), RUNS),
    "UploadModel": ((Action.CREATE,), (Role.MODEL,)),
    "CreateEndpoint": ((Action.CREATE,), (Role.ENDPOINT,)),
    "DeployModel": ((Action.CREATE,), (Role.DEPLOYMENT,)),
    "MutateDeployedModel": ((Action.UPDATE,), (Role.DEPLOYMENT,)),
    "UpdateModel": ((Action.UPDATE,), (Role.MODEL,)),
    "UpdateEndpoint": ((Action.UPDATE, Action.DELETE), (Role.ENDPOINT, Role.DEPLOYMENT)),
}
"""What a plan must say of an experiment before the method may be sent about it: one of these actions and roles."""
PATIENT = frozenset(
    (
        *(Reason.GATE, Reason.PROTECTED, Reason.EXCLUSIVE, Reason.NAME_TAKEN),
        *(Reason.SUSPENDED, Reason.IN_USE, Reason.PREREQUISITE),
    )
)
"""The reasons for which something may be held when nothing goes wrong any more: a person wanted it so."""


class Broken(Exception):
    """A law was broken; the message says which, and how."""


@dataclass(slots=True)
class Laws:
    """What must be remembered to tell whether a law is broken."""

    cloud: Cloud
    served: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The endpoints that had traffic on something that serves when last looked at: whose, (fleet, experiment)."""
    wishes: dict[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    """The (fleet, experiment)s that git, and each active actor, wants to serve without a gap."""
    strangers: dict[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        rows = self.cloud.rows()
        self.strangers = footprint(self.cloud.world.store, [(row.kind, row.name) for row in rows])

    def begin(self, actor: Actor, wanted: frozenset[str], head: frozenset[str]) -> None:
        """An actor sets out to bring about a commit, while `head` is what the newest one of its fleet wants."""
        others = frozenset(one for one in self.wishes.get("git", frozenset()) if one[0] != actor.fleet)
        self.wishes["git"] = others | {(actor.fleet, name) for name in head}
        self.wishes[actor.name] = self._but(actor, wanted)

    def end(self, actor: Actor) -> None:
        """The actor's pass is over."""
        self.wishes.pop(actor.name, None)

    def before(self, actor: Actor, request: Request) -> None:
        """Only what is the actor's fleet's is written to; nothing happens that the actor's plan does not name."""
        if not request.mutates:
            return
        if request.message is None:
            self._only_own_objects(actor, request)
            return
        self._only_own_things(actor, request)
        if request.method in REMOVING:
            self._removes_what_is_named(actor, request)
        elif request.method in WRITING and not actor.by_hand:
            self._does_what_is_planned(actor, request)

    def after(self, actor: Actor, request: Request) -> None:
        """No second live job of an identity, none of what is trained; traffic stays where it was wanted."""
        if request.method == "CreateCustomJob":
            self._look_at_jobs(actor, request.message.custom_job.labels[IDENTITY])
        elif request.words.startswith("EndpointService") and request.mutates:
            self.look_at_traffic()

    def excuse(self, endpoint: str) -> None:
        """A person takes an endpoint's traffic away: no fault of ours."""
        self.served.pop(endpoint, None)

    def look_at_traffic(self) -> None:
        """An endpoint that served has traffic on something that serves, unless git or an actor says otherwise."""
        healthy: dict[str, tuple[str, str]] = {}
        whose = dict(self.served)
        for endpoint in self.cloud.endpoints():
            whose[endpoint.name] = endpoint.labels[FLEET], endpoint.labels[EXPERIMENT]
            if _has_traffic(endpoint):
                healthy[endpoint.name] = whose[endpoint.name]
            if endpoint.labels[SUSPENDED]:
                self.excuse(endpoint.name)
        wanted = frozenset.intersection(*self.wishes.values()) if self.wishes else frozenset()
        dropped = sorted(whose[name][1] for name in self.served if name not in healthy and whose[name] in wanted)
        if dropped:
            raise Broken(f"the endpoint of {dropped[0]} served and does so no more")
        self.served = healthy

    def after_step(self, trainers: Trainers) -> None:
        """What is not ours is as it was; nothing was trained twice at the same time."""
        if footprint(self.cloud.world.store, [(kind, name) for kind, _, name in map(_parts, self.strangers)]) != (
            self.strangers
        ):
            raise Broken("something that is not ours was touched")
        if trainers.doubles:
            raise Broken(f"two trainers of {trainers.doubles[0]} at the same time")

    def at_rest(self, plan: Plan, fleet: str) -> None:
        """At the end nothing is held but what a person wanted to be, and what is in sync serves."""
        held = [change for change in plan.changes if change.action is Action.HOLD]
        wrong = [change for change in held if change.reason not in PATIENT]
        if wrong:
            raise Broken(f"{wrong[0].address} is held at the end: {wrong[0].reason} {wrong[0].detail}")
        serves = set(self.served.values())
        waiting = {change.address.experiment for change in held}
        for change in plan.changes:
            name = change.address.experiment
            if change.address.role is Role.DEPLOYMENT and name not in waiting and (fleet, name) not in serves:
                raise Broken(f"{change.address} is in sync at the end and has no traffic")

    def _but(self, actor: Actor, wanted: frozenset[str]) -> frozenset[tuple[str, str]]:
        return frozenset((actor.fleet, name) for name in wanted) | {
            one for one in self.wishes.get("git", frozenset()) if one[0] != actor.fleet
        }

    def _only_own_objects(self, actor: Actor, request: Request) -> None:
        folder = f"loraform/{actor.fleet}/"
        if not request.name.startswith(folder):
            raise Broken(f"{actor.name} {request.words}, which is not its fleet's")
        kind = request.name.removeprefix(folder).partition("/")[0]
        if request.words.startswith("delete") and kind not in ("claims", "lease.json"):
            raise Broken(f"{actor.name} {request.words}, which is there for good")

    def _only_own_things(self, actor: Actor, request: Request) -> None:
        labels = labels_of(self.cloud, request.message)
        if labels and labels.get(FLEET) != actor.fleet:
            raise Broken(f"{actor.name} {request.words} of what is not its fleet's")

    def _removes_what_is_named(self, actor: Actor, request: Request) -> None:
        message = request.message
        name = getattr(message, "name", "") or f"{message.endpoint}#{message.deployed_model_id}"
        if actor.by_hand:
            if labels_of(self.cloud, message).get(EXPERIMENT, actor.by_hand) != actor.by_hand:
                raise Broken(f"{actor.name} {request.words} of {name}, which nobody asked for")
            return
        named = {
            change.before.name
            for change in (actor.plan.changes if actor.plan else ())
            if change.action in (Action.DELETE, Action.CANCEL) and change.before
        }
        if name not in named:
            raise Broken(f"{actor.name} {request.words} of {name}, which its plan does not name")

    def _does_what_is_planned(self, actor: Actor, request: Request) -> None:
        actions, roles = WRITING[request.method]
        labels = labels_of(self.cloud, request.message)
        if not labels:
            return  # what it is about has gone meanwhile
        names = {labels.get(EXPERIMENT, "")} | _seen_as(actor, request.message)
        for change in actor.plan.changes if actor.plan else ():
            if change.after and names & set(change.after.moved_from):
                names.add(change.address.experiment)
        planned = [
            change
            for change in (actor.plan.now if actor.plan else ())
            if change.action in actions and change.address.role in roles and change.address.experiment in names
        ]
        stamp = _stamp(request)
        if not [change for change in planned if not stamp or (change.after and change.after.stamp == stamp)]:
            raise Broken(f"{actor.name} {request.words} for {labels.get(EXPERIMENT)}, which its plan does not name")

    def _look_at_jobs(self, actor: Actor, stamp: str) -> None:
        live = Counter(job.labels[IDENTITY] for job in self.cloud.live_jobs() if job.labels[FLEET] == actor.fleet)
        if live[stamp] > 1:
            raise Broken(f"{actor.name} made a second live job of {stamp}")
        if stamp in actor.records:
            raise Broken(f"{actor.name} made a job for {stamp}, which was trained before it began")


def done_keys(change: Change) -> tuple[tuple[str, str, str], ...]:
    """What a change does, as a forecast can tell it: address, action, and the identity that goes or comes.

    Of an update each field on its own: it may be done in part, when its first call moves the etag that others need.
    """
    address, action = str(change.address), str(change.action)
    stamp = change.after.stamp if change.after else change.before.stamp if change.before else ""
    if change.action is Action.UPDATE:
        # That a gate judges is foreseen; what it says is not, for nobody knows the metrics.
        values = ("" if item.path == "gate" else repr(item.after) for item in change.fields)
        return tuple(
            (address, action, f"{stamp} {item.path} {value}") for item, value in zip(change.fields, values, strict=True)
        )
    return ((address, action, stamp),)


def labels_of(cloud: Cloud, message: Any) -> dict[str, str]:
    """The labels of the thing that a request makes or is about; of its endpoint, where it has none of its own."""
    for part in ("custom_job", "model", "endpoint"):
        made = getattr(message, part, None)
        if made is not None and not isinstance(made, str) and not made.name:
            return dict(made.labels)
    thing = getattr(message, "endpoint", None) or getattr(message, "model", None) or message
    return cloud.labels_of(thing if isinstance(thing, str) else thing.name)


def _seen_as(actor: Actor, message: Any) -> set[str]:
    """The experiments that the actor took the thing of a request for; since then it may have got another label."""
    thing = getattr(message, "endpoint", None) or getattr(message, "model", None) or message
    name = thing if isinstance(thing, str) else getattr(thing, "name", "")
    return {
        change.address.experiment
        for change in (actor.plan.changes if actor.plan else ())
        if name and change.before and _base(change.before.name) == _base(name)
    }


def _base(name: str) -> str:
    """The id of a thing without its version, or without what is deployed on it."""
    return re.split("[@#]", name.rsplit("/", 1)[-1] if "#" not in name else name.partition("#")[0].rsplit("/", 1)[-1])[
        0
    ]


def _stamp(request: Request) -> str:
    message = request.message
    if request.method == "DeployModel":
        return str(message.deployed_model.display_name.removeprefix("lf-"))
    if request.method == "CreateCustomJob":
        return str(message.custom_job.labels[IDENTITY])
    return str(message.model.labels[IDENTITY]) if request.method == "UploadModel" else ""


def _parts(key: str) -> tuple[str, str, str]:
    return key.partition(" ")


def _has_traffic(endpoint: Any) -> bool:
    return any(endpoint.traffic_split.get(one.id, 0) for one in endpoint.deployed_models)
