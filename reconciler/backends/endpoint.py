"""Endpoints: the address of an experiment. They outlive every model behind them and cost nothing when empty.

What sits on an endpoint is the deployment's business; this module reads an endpoint's payload once for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.backends import deployment, labels, payloads
from reconciler.backends.kind import Kind, Payload, existing, impossible, wanted
from reconciler.backends.refs import resolved
from reconciler.backends.subject import Subject, attempt_key
from reconciler.core.calls import Call, Scene
from reconciler.core.changes import Change
from reconciler.core.errors import LoraformError
from reconciler.core.identity import identity_of
from reconciler.core.later import Later
from reconciler.core.resources import Json, LiveResource, Phase, Resource, Role, Value
from schemas.effects import Effect
from schemas.serving import Serving

NAME = "endpoint"


def desired(subject: Subject, serving: Serving) -> Resource:
    """The endpoint of the experiment's own. What the API cannot change later is its identity, and holds its name."""
    immutable = _immutable(subject, serving)
    own_labels = {**subject.experiment.labels, **serving.labels}
    protect = subject.experiment.protect or serving.protect
    body: dict[str, Value] = {"display_name": subject.experiment.name, "labels": own_labels, **immutable}
    return Resource(
        address=subject.address(Role.ENDPOINT),
        kind=NAME,
        identity=identity_of("endpoint", immutable),
        attempt_key=attempt_key({"run.attempt": subject.experiment.run.attempt}),
        spec={"labels": own_labels, "protect": protect},
        fields=Later(lambda: subject.fields(Effect.LABEL)),
        body=body,
        exclusive=True,
        collides=True,
        named=endpoint_id(subject.target.fleet, subject.experiment.name),
        adopts=subject.experiment.adopt.endpoint or "",
        protect=protect,
        source=subject.source,
    )


def endpoint_id(fleet: str, experiment: str) -> str:
    """The user-set id of an experiment's endpoint."""
    return f"lf-{fleet}-{experiment}"


def live(payload: Payload, fleet: str) -> tuple[LiveResource, ...]:
    """The endpoint of an `Endpoint` payload and the deployments on it, when it is ours."""
    address = labels.owner(payload, fleet)
    if address is None:
        return ()
    own = labels.labels_of(payload)
    created = payloads.seconds(payload, "create_time")
    deployments = deployment.live(payload, fleet)
    strangers = len(payloads.messages(payload, "deployed_models")) - len(deployments)
    return (
        LiveResource(
            address=address,
            kind=NAME,
            name=payloads.text(payload, "name"),
            stamp=own.get(labels.IDENTITY, ""),
            phase=Phase.READY,
            spec={"labels": labels.foreign(own), "protect": own.get(labels.PROTECT) == labels.YES},
            outputs={
                "name": payloads.text(payload, "name"),
                "dedicated_dns": payloads.text(payload, "dedicated_endpoint_dns"),
                "labels": own,
                "split": deployment.split_of(payload),
            },
            since=created,
            created=created,
            etag=payloads.text(payload, "etag"),
            protect=own.get(labels.PROTECT) == labels.YES,
            suspended=own.get(labels.SUSPENDED) == labels.YES,
            in_use=_strangers(strangers),
        ),
        *deployments,
    )


def adoptable(payload: Payload, resource: Resource, fleet: str, own: str) -> LiveResource | str:
    """An endpoint made by others as the one of `resource`, or why it cannot be. `own` is the id of one that it has.

    It is taken as it is: a shared address stays shared. What can never be changed must be as git wants it.
    """
    if refused := labels.refusal(payload, resource, fleet, own):
        return refused
    for key in ("network", "encryption_spec"):
        wanted, found = resource.body.get(key), payload.get(key)
        if (wanted or None) != (found or None):
            return f"its {key} can never be changed: say the same under `serving.{key}`"
    own_labels = labels.labels_of(payload)
    created = payloads.seconds(payload, "create_time")
    return LiveResource(
        address=resource.address,
        kind=NAME,
        name=payloads.text(payload, "name"),
        stamp=resource.stamp,
        phase=Phase.READY,
        spec={"labels": labels.foreign(own_labels), "protect": False},
        outputs={
            "name": payloads.text(payload, "name"),
            "dedicated_dns": payloads.text(payload, "dedicated_endpoint_dns"),
            "labels": own_labels,
            "split": deployment.split_of(payload),
        },
        since=created,
        created=created,
        etag=payloads.text(payload, "etag"),
        in_use=_strangers(len(payloads.messages(payload, "deployed_models"))),
        adopted_from=payloads.last(payloads.text(payload, "name")),
    )


def create(change: Change, scene: Scene) -> tuple[Call, ...]:
    """One CreateEndpoint with the experiment's own id: a second one collides and is tolerated."""
    resource = wanted(change)
    body = resolved(resource.body, scene.outputs)
    if not isinstance(body, Mapping):
        raise LoraformError(f"{resource.address}: the body of an endpoint is a mapping")
    request: Mapping[str, Json] = {
        "parent": scene.parent,
        "endpoint_id": endpoint_id(scene.fleet, resource.address.experiment),
        "endpoint": {**body, "labels": labels.stamped(resource, scene, change.stamps)},
    }
    return (Call("EndpointService", "CreateEndpoint", request, frozenset({"ALREADY_EXISTS"})),)


def update(change: Change, scene: Scene) -> tuple[Call, ...]:
    """One UpdateEndpoint of the labels; those of other tools are kept, a protection that git dropped goes."""
    resource, before = wanted(change), existing(change)
    return (relabelled(before, {**labels.stamped(resource, scene, change.stamps)}, drop=labels.PROTECT),)


def delete(change: Change, scene: Scene) -> tuple[Call, ...]:
    """One DeleteEndpoint; the service refuses it while anything is deployed."""
    return (Call("EndpointService", "DeleteEndpoint", {"name": existing(change).name}, frozenset({"NOT_FOUND"})),)


def relabelled(endpoint: LiveResource, wanted: Mapping[str, str], drop: str = "") -> Call:
    """UpdateEndpoint that adds `wanted` to the labels it has, without `drop` unless it is wanted; guarded by etag."""
    kept = {key: value for key, value in labels.labels_of(endpoint.outputs).items() if key != drop}
    body: Json = {
        "name": endpoint.name,
        "labels": {**kept, **wanted},
        **({"etag": endpoint.etag} if endpoint.etag else {}),
    }
    return Call("EndpointService", "UpdateEndpoint", {"endpoint": body, "update_mask": "labels"})


def suspend(endpoint: LiveResource, deployments: tuple[LiveResource, ...]) -> tuple[Call, ...]:
    """Take everything of ours off the endpoint and keep its address: first the label, so that no pass redeploys."""
    marked = relabelled(endpoint, {labels.SUSPENDED: labels.YES})
    unguarded = tuple(replace(item, etag="") for item in deployments)
    return (marked, *(call for item in unguarded for call in deployment.undeploy(item)))


def resume(endpoint: LiveResource) -> tuple[Call, ...]:
    """Let the next pass deploy again."""
    return (relabelled(endpoint, {}, drop=labels.SUSPENDED),)


def _immutable(subject: Subject, serving: Serving) -> dict[str, Json]:
    """A private network and a dedicated address exclude each other; the embedded Vertex AI has one address for all."""
    immutable: dict[str, Json] = {}
    if serving.network:
        immutable["network"] = serving.network
    elif not subject.target.local:
        immutable["dedicated_endpoint_enabled"] = True
    if serving.encryption_spec:
        immutable["encryption_spec"] = {"kms_key_name": serving.encryption_spec.kms_key_name}
    return immutable


def _strangers(count: int) -> str:
    if not count:
        return ""
    return f"{count} deployed model{'s' * (count > 1)} on it {'are' if count > 1 else 'is'} not Loraform's"


KIND = Kind(NAME, live, create, update, delete, impossible(NAME, "cancelled"))
