"""Models in the registry: one model per experiment, one version per model identity, found by its alias.

Versions are history: they are kept when git changes its mind, which is what makes a revert cheap. A container spec
cannot be read back, so nothing but labels is compared; the identity says the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.backends import labels, payloads
from reconciler.backends.kind import Kind, Payload, existing, impossible, wanted
from reconciler.backends.refs import resolved
from reconciler.backends.subject import Subject, attempt_key, environment
from reconciler.core.calls import Call, Scene
from reconciler.core.changes import Change
from reconciler.core.errors import LoraformError
from reconciler.core.identity import canonical, identity_of
from reconciler.core.later import Later
from reconciler.core.resources import SHORT, Declared, Json, LiveResource, Phase, Ref, Resource, Role, Value
from schemas.effects import Effect
from schemas.serving import Serving
from schemas.serving_spec import ServingSpec

NAME = "model"
_ALIAS = re.compile(rf"m-([0-9a-f]{{{SHORT}}})")


PORT = 8080
PREDICT, HEALTH = "/predict", "/health"
SHARED_MEMORY_MB = 16 * 1024
"""vLLM's workers talk through shared memory; Vertex AI's own default of 64 MB is too small."""
DEPLOYMENT_TIMEOUT = "1800s"


def desired(subject: Subject, serving: Serving, training: Resource, merge: Resource | None = None) -> Resource:
    """The model version that serves an experiment: one training's artifact in one container, told how to serve.

    With `merge` the artifact is the merged model that this run makes of the training's adapter.
    """
    source = merge or training
    image = subject.target.images["serve"]
    identity = identity_of("model", {**subject.hashed(Effect.VERSION), "image": image}, [training.identity])
    own_labels = {**subject.experiment.labels, **serving.labels}
    return Resource(
        address=subject.address(Role.MODEL),
        kind=NAME,
        identity=identity,
        attempt_key=attempt_key({"run.attempt": subject.experiment.run.attempt}),
        spec={"labels": own_labels},
        fields=Later(
            lambda: {
                **subject.fields(Effect.VERSION, Effect.LABEL),
                "images.serve": Declared(image, str(Effect.VERSION)),
            }
        ),
        body=Later(lambda: _body(subject, serving, training, source, own_labels)),
        depends_on=(source.address,),
        uploads=subject.uploads("model.base", "model.tokenizer"),
        named=model_id(subject.target.fleet, subject.experiment.name),
        adopts=subject.experiment.adopt.model or "",
        protect=subject.experiment.protect or serving.protect,
        source=subject.source,
    )


def serving_spec(subject: Subject, serving: Serving) -> ServingSpec:
    """What the server is told."""
    experiment = subject.experiment
    return ServingSpec(
        experiment=experiment.name,
        form="full" if experiment.method == "full" or serving.form == "merged" else "adapter",
        model=subject.model_source(),
        rank=max(
            largest_rank(experiment.adapter.effective("r"), experiment.adapter.effective("rank_pattern")),
            experiment.sweep.largest("adapter.r") if experiment.sweep else 1,
        ),
        engine=dict(serving.engine),
        generation=dict(serving.generation),
    )


def largest_rank(rank: Json, pattern: Json) -> int:
    """The largest rank in an adapter: `r`, or a larger one in `rank_pattern`."""
    ranks = [rank, *(pattern.values() if isinstance(pattern, Mapping) else [])]
    return max((int(item) for item in ranks if isinstance(item, (int, float))), default=1)


def model_id(fleet: str, experiment: str) -> str:
    """The user-set id of an experiment's model."""
    return f"lf-{fleet}-{experiment}"


def alias_of(stamp: str) -> str:
    """The version alias that carries a model identity."""
    return f"m-{stamp}"


def live(payload: Payload, fleet: str) -> tuple[LiveResource, ...]:
    """One live resource per identity alias of a `Model` payload (one version), when it is ours.

    A version without such an alias falls back on its label: aliases can be moved by hand.
    """
    address = labels.owner(payload, fleet)
    if address is None:
        return ()
    own = labels.labels_of(payload)
    aliases = payloads.texts(payload, "version_aliases")
    found = sorted({match[1] for alias in aliases if (match := _ALIAS.fullmatch(alias))})
    name = payloads.text(payload, "name").split("@", 1)[0]
    version = payloads.text(payload, "version_id") or "1"
    outputs: dict[str, Json] = {
        "name": name,
        "version_id": version,
        "version_name": f"{name}@{version}",
        "artifact_uri": payloads.text(payload, "artifact_uri"),
        "labels": own,
        "gate": own.get(labels.GATE, ""),
        "trained_by": own.get(labels.TRAINED_BY, ""),
    }
    return tuple(
        LiveResource(
            address=address,
            kind=NAME,
            name=f"{name}@{version}",
            stamp=stamp,
            phase=Phase.READY,
            spec={"labels": labels.foreign(own)},
            outputs=outputs,
            since=payloads.seconds(payload, "version_create_time", "create_time"),
            created=payloads.seconds(payload, "version_create_time", "create_time"),
            etag=payloads.text(payload, "etag"),
            history=True,
        )
        for stamp in found or [own.get(labels.IDENTITY, "")]
    )


def adoptable(payload: Payload, resource: Resource, fleet: str, own: str) -> LiveResource | str:
    """A model made by others as the one that gets the next version, or why it cannot be.

    Its versions are nobody's business: what they hold came from no manifest, so none of them is ever the wanted one.
    """
    if refused := labels.refusal(payload, resource, fleet, own):
        return refused
    name = payloads.text(payload, "name").split("@", 1)[0]
    return LiveResource(
        address=resource.address,
        kind=NAME,
        name=name,
        stamp="",
        phase=Phase.READY,
        outputs={"name": name, "labels": labels.labels_of(payload)},
        created=payloads.seconds(payload, "create_time"),
        history=True,
    )


def create(change: Change, scene: Scene) -> tuple[Call, ...]:
    """One UploadModel: a new model, or a new version of the one that an earlier identity made."""
    resource = wanted(change)
    body = resolved(resource.body, scene.outputs)
    if not isinstance(body, Mapping):
        raise LoraformError(f"{resource.address}: the body of a model is a mapping")
    model: Json = {
        **body,
        "version_aliases": [alias_of(resource.stamp), "default"],
        "labels": labels.stamped(resource, scene, change.stamps),
    }
    parent = _parent(change, scene)
    place: Mapping[str, Json] = (
        {"parent_model": parent} if parent else {"model_id": model_id(scene.fleet, resource.address.experiment)}
    )
    request: Mapping[str, Json] = {"parent": scene.parent, **place, "model": model}
    return (Call("ModelService", "UploadModel", request, frozenset() if parent else frozenset({"ALREADY_EXISTS"})),)


def update(change: Change, scene: Scene) -> tuple[Call, ...]:
    """One UpdateModel of the version's labels, and one of each older version that still says a former name."""
    resource, before = wanted(change), existing(change)
    owner = {labels.EXPERIMENT: resource.address.experiment}
    return (
        _relabelled(before, labels.stamped(resource, scene, change.stamps)),
        *(_relabelled(version, owner) for version in change.along),
    )


def _relabelled(version: LiveResource, wanted: Mapping[str, str]) -> Call:
    """The labels that it has, of other tools too, with `wanted` over them."""
    merged = {**labels.labels_of(version.outputs), **wanted}
    model: Json = {"name": version.name, "labels": merged, **({"etag": version.etag} if version.etag else {})}
    return Call("ModelService", "UpdateModel", {"model": model, "update_mask": "labels"})


def delete(change: Change, scene: Scene) -> tuple[Call, ...]:
    """One DeleteModelVersion. The service refuses it for the default version; the planner keeps versions anyway."""
    return (Call("ModelService", "DeleteModelVersion", {"name": existing(change).name}, frozenset({"NOT_FOUND"})),)


def _body(
    subject: Subject, serving: Serving, training: Resource, source: Resource, own_labels: Mapping[str, str]
) -> Mapping[str, Value]:
    spec = serving_spec(subject, serving).model_dump(mode="json")
    container: dict[str, Value] = {
        "image_uri": subject.target.images["serve"],
        "args": ["--spec", canonical(spec)],
        "env": environment(serving.env),
        "ports": [{"container_port": PORT}],
        "predict_route": PREDICT,
        "health_route": HEALTH,
        "shared_memory_size_mb": serving.shared_memory_size_mb or SHARED_MEMORY_MB,
        "deployment_timeout": serving.deployment_timeout or DEPLOYMENT_TIMEOUT,
    }
    body: dict[str, Value] = {
        "display_name": subject.experiment.name,
        "artifact_uri": Ref(source.address, "artifact_uri"),
        "container_spec": container,
        "labels": {**own_labels, labels.TRAINED_BY: training.stamp},
    }
    if serving.encryption_spec:
        body["encryption_spec"] = {"kms_key_name": serving.encryption_spec.kms_key_name}
    return body


def _parent(change: Change, scene: Scene) -> str:
    """The model that already exists: known from another identity's version, now or in what is ready."""
    known = [item.outputs for item in (*change.replaces, *([change.before] if change.before else []))]
    known.append(scene.outputs.get(change.address, {}))
    return next((name for outputs in known if (name := payloads.text(outputs, "name"))), "")


KIND = Kind(NAME, live, create, update, delete, impossible(NAME, "cancelled"))
