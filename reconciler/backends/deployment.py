"""Deployed models: what answers behind an endpoint.

They have no labels in the API: the stamp is their display name, `lf-<identity>` on an endpoint that is ours, and
their id follows from (endpoint, identity), so that a second deploy collides. What is not stamped is not ours: it is
never undeployed and keeps its share of the traffic.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from reconciler.backends import labels, payloads, traffic
from reconciler.backends.kind import Kind, Payload, existing, impossible, wanted
from reconciler.backends.refs import resolved
from reconciler.backends.subject import Subject, attempt_key, given, machine_spec
from reconciler.core.calls import Call, Scene
from reconciler.core.changes import Change
from reconciler.core.errors import LoraformError
from reconciler.core.identity import deployed_id, identity_of
from reconciler.core.later import Later
from reconciler.core.resources import (
    SHORT,
    Address,
    Declared,
    Gate,
    Json,
    LiveResource,
    Phase,
    Ref,
    Resource,
    Role,
    Rollout,
    Value,
)
from reconciler.core.rollout import STEPPED
from reconciler.core.verdict import Bound
from schemas.effects import Effect
from schemas.evaluation import GateRule
from schemas.primitives import seconds
from schemas.serving import Rollout as RolloutBlock
from schemas.serving import Serving

NAME = "deployment"
REPLICAS = ("min_replica_count", "max_replica_count", "required_replica_count", "autoscaling_metric_specs")
"""The settings of `DedicatedResources` that MutateDeployedModel takes."""
_STAMPED = re.compile(rf"lf-([0-9a-f]{{{SHORT}}})")


def desired(subject: Subject, serving: Serving, model: Resource, endpoint: Resource, measured: Resource) -> Resource:
    """One model version on the experiment's endpoint, on its machines, with all of the traffic that is ours.

    `measured` is the run whose metrics a gate judges: the evaluation, or the training where there is none.
    """
    experiment = subject.experiment
    least, most = serving.replicas
    replicas: dict[str, Json] = {
        "min_replica_count": least,
        "max_replica_count": most,
        **given(
            {
                "required_replica_count": serving.required_replica_count,
                "autoscaling_metric_specs": [
                    {"metric_name": item.metric_name, "target": item.target}
                    for item in serving.autoscaling_metric_specs
                ],
            }
        ),
    }
    settings = {f"serving.{key}": Declared(value, str(Effect.IN_PLACE)) for key, value in replicas.items()}
    bounds = tuple(map(_bound, experiment.evaluation.gate))
    return Resource(
        address=subject.address(Role.DEPLOYMENT),
        kind=NAME,
        identity=identity_of("deployment", subject.hashed(Effect.ROLL), [model.identity]),
        attempt_key=attempt_key({"run.attempt": experiment.run.attempt, **replicas}),
        spec={**replicas, "traffic": traffic.WHOLE},
        fields=Later(lambda: {**subject.fields(Effect.ROLL, Effect.IN_PLACE), **settings}),
        body=Later(lambda: _body(serving, model, endpoint, replicas)),
        depends_on=(model.address, endpoint.address),
        collides=True,
        born={"traffic": 0},
        accelerators=serving.machine.accelerator_count * least,
        gate=Gate(bounds, measured.address, subject.gates) if bounds else None,
        rollout=_rollout(serving.rollout),
        protect=experiment.protect or serving.protect,
        source=subject.source,
    )


def _bound(rule: GateRule) -> Bound:
    read = rule.expression
    return Bound(rule.expr, read.metric, read.operator, read.bound, read.relative, rule.confidence)


def _rollout(block: RolloutBlock) -> Rollout | None:
    """None for what needs no plan: everything at once, beside the older one."""
    rollout = Rollout(tuple(block.steps), float(seconds(block.hold)), block.strategy == "recreate")
    return None if rollout == Rollout() else rollout


def display_name(stamp: str) -> str:
    """The display name that makes a deployed model ours and tells its identity."""
    return f"lf-{stamp}"


def live(payload: Payload, fleet: str) -> tuple[LiveResource, ...]:
    """The stamped deployed models of an `Endpoint` payload, when the endpoint is ours. All of them are ready."""
    owner = labels.owner(payload, fleet)
    if owner is None:
        return ()
    found = [
        (match[1], item)
        for item in payloads.messages(payload, "deployed_models")
        if (match := _STAMPED.fullmatch(payloads.text(item, "display_name")))
    ]
    ours = sorted(payloads.text(item, "id") for _, item in found)
    return tuple(_deployed(payload, owner.experiment, stamp, item, ours) for stamp, item in found)


def split_of(endpoint: Payload) -> dict[str, int]:
    """The traffic split of an `Endpoint` payload: deployed model id -> percent."""
    split = payloads.mapping(endpoint, "traffic_split")
    return {name: payloads.integer(split, name) for name in sorted(split)}


def create(change: Change, scene: Scene) -> tuple[Call, ...]:
    """One DeployModel without traffic, under an id that only this identity has on this endpoint."""
    resource = wanted(change)
    body = resolved(resource.body, scene.outputs)
    if not isinstance(body, Mapping):
        raise LoraformError(f"{resource.address}: the body of a deployment is a mapping")
    endpoint = payloads.text(body, "endpoint")
    deployed: Json = {
        **payloads.mapping(body, "deployed_model"),
        "id": deployed_id(payloads.last(endpoint), resource.identity),
        "display_name": display_name(resource.stamp),
    }
    request: Mapping[str, Json] = {"endpoint": endpoint, "deployed_model": deployed}
    return (Call("EndpointService", "DeployModel", request, frozenset({"ALREADY_EXISTS"})),)


def update(change: Change, scene: Scene) -> tuple[Call, ...]:
    """MutateDeployedModel where replica counts differ, UpdateEndpoint where the traffic does: only what differs."""
    resource, before = wanted(change), existing(change)
    calls: list[Call] = []
    counts = {key: resource.spec[key] for key in REPLICAS if key in resource.spec}
    if any(before.spec.get(key) != count for key, count in counts.items()):
        calls.append(_mutate(before, counts))
    percent = resource.spec.get("traffic")
    if isinstance(percent, int) and before.spec.get("traffic") != percent:
        split = traffic.shifted(_split(before), _ours(before), _id(before), percent)
        calls.append(_reroute(before, split, {**scene.labels, **change.stamps}))
    return tuple(calls)


def delete(change: Change, scene: Scene) -> tuple[Call, ...]:
    """Take it off the endpoint; the model and the endpoint stay."""
    return undeploy(existing(change), scene.labels)


def undeploy(deployment: LiveResource, provenance: Mapping[str, str] | None = None) -> tuple[Call, ...]:
    """UndeployModel; where it has traffic and is not alone, its share goes to the others first."""
    split = _split(deployment)
    request: Mapping[str, Json] = {
        "endpoint": payloads.text(deployment.outputs, "endpoint"),
        "deployed_model_id": _id(deployment),
    }
    call = Call("EndpointService", "UndeployModel", request, frozenset({"NOT_FOUND"}))
    if not split.get(_id(deployment)) or payloads.integer(deployment.outputs, "neighbours") == 0:
        return (call,)
    return _reroute(deployment, traffic.without(split, _ours(deployment), _id(deployment)), provenance or {}), call


def linked(live_resources: tuple[LiveResource, ...]) -> tuple[LiveResource, ...]:
    """Tell every deployment which training its model version came from (`outputs["trained_by"]`, a stamp).

    The deployment names a model version, the version's label names the training: a snapshot has both.
    """
    trained = {
        _version_key(payloads.text(item.outputs, "version_name")): payloads.text(item.outputs, "trained_by")
        for item in live_resources
        if item.kind == "model"
    }
    return tuple(
        replace(item, outputs={**item.outputs, "trained_by": trained[key]})
        if item.kind == NAME and (key := _version_key(payloads.text(item.outputs, "model"))) in trained
        else item
        for item in live_resources
    )


def _body(serving: Serving, model: Resource, endpoint: Resource, replicas: Mapping[str, Json]) -> Mapping[str, Value]:
    machine = serving.machine
    deployed: dict[str, Value] = {
        "model": Ref(model.address, "version_name"),
        "dedicated_resources": {
            "machine_spec": machine_spec(machine.machine_type, machine.accelerator_type, machine.accelerator_count),
            **replicas,
            **({"spot": True} if serving.spot else {}),
        },
    }
    if serving.service_account:
        deployed["service_account"] = serving.service_account
    return {"endpoint": Ref(endpoint.address, "name"), "deployed_model": deployed}


def _deployed(endpoint: Payload, experiment: str, stamp: str, item: Payload, ours: list[str]) -> LiveResource:
    split, own = split_of(endpoint), labels.labels_of(endpoint)
    name, number = payloads.text(endpoint, "name"), payloads.text(item, "id")
    resources = payloads.mapping(item, "dedicated_resources")
    least = payloads.integer(resources, "min_replica_count", 1)
    model, version = payloads.text(item, "model"), payloads.text(item, "model_version_id")
    outputs: dict[str, Json] = {
        "endpoint": name,
        "deployed_model_id": number,
        "model": model if "@" in model or not version else f"{model}@{version}",
        "share": split.get(number, 0),
        "foreign": sum(share for name, share in split.items() if name not in ours),
        "split": split,
        "ours": ours,
        "neighbours": len(payloads.messages(endpoint, "deployed_models")) - 1,
        "labels": own,
        "machines": [{"machine": payloads.mapping(resources, "machine_spec"), "replicas": least}],
        "spot": bool(resources.get("spot")),
    }
    return LiveResource(
        address=Address(experiment, Role.DEPLOYMENT),
        kind=NAME,
        name=f"{name}#{number}",
        stamp=stamp,
        phase=Phase.READY,
        spec={
            "min_replica_count": least,
            "max_replica_count": payloads.integer(resources, "max_replica_count", least) or least,
            "required_replica_count": payloads.integer(resources, "required_replica_count"),
            "autoscaling_metric_specs": [
                {key: item[key] for key in ("metric_name", "target") if key in item}
                for item in payloads.messages(resources, "autoscaling_metric_specs")
            ],
            "traffic": traffic.percent_of_ours(split, set(ours), number),
        },
        outputs=outputs,
        since=payloads.seconds(item, "create_time"),
        created=payloads.seconds(item, "create_time"),
        etag=payloads.text(endpoint, "etag"),
        stepped=_stepped(own),
        protect=own.get(labels.PROTECT) == labels.YES,
    )


def _stepped(own: Mapping[str, str]) -> float:
    """When the traffic was last stepped; long ago when the label is missing or somebody's own."""
    text = own.get(STEPPED, "")
    return float(text) if text.isdecimal() else 0.0


def _mutate(deployment: LiveResource, counts: Mapping[str, Json]) -> Call:
    request: Mapping[str, Json] = {
        "endpoint": payloads.text(deployment.outputs, "endpoint"),
        "deployed_model": {"id": _id(deployment), "dedicated_resources": counts},
        "update_mask": ",".join(f"dedicatedResources.{_camel(key)}" for key in sorted(counts)),
    }
    return Call("EndpointService", "MutateDeployedModel", request)


def _reroute(deployment: LiveResource, split: Mapping[str, int], stamps: Mapping[str, str]) -> Call:
    body: dict[str, Json] = {"name": payloads.text(deployment.outputs, "endpoint"), "traffic_split": split}
    if stamps:
        body["labels"] = {**labels.labels_of(deployment.outputs), **stamps}
    if deployment.etag:
        body["etag"] = deployment.etag
    mask = "trafficSplit,labels" if stamps else "trafficSplit"
    return Call("EndpointService", "UpdateEndpoint", {"endpoint": body, "update_mask": mask})


def _split(deployment: LiveResource) -> dict[str, int]:
    split = payloads.mapping(deployment.outputs, "split")
    return {name: payloads.integer(split, name) for name in split}


def _ours(deployment: LiveResource) -> set[str]:
    return set(payloads.texts(deployment.outputs, "ours"))


def _id(deployment: LiveResource) -> str:
    return payloads.text(deployment.outputs, "deployed_model_id")


def _version_key(name: str) -> str:
    """Model id and version: projects are answered by number, whatever the request said."""
    return name.rsplit("/", 1)[-1]


def _camel(key: str) -> str:
    head, *rest = key.split("_")
    return head + "".join(word.capitalize() for word in rest)


KIND = Kind(NAME, live, create, update, delete, impossible(NAME, "cancelled"))
