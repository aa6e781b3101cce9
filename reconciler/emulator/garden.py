"""ModelGardenService, as far as it deploys: a folder with weights, or an open model by its name, onto a new endpoint.

The weights of an open model are those of its stand-in on this machine. What serves is the image `loraform/serve`, or
the container that the caller gives. The operation is over when the server is healthy; when it never gets so, endpoint
and model stay, as on the service.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from reconciler.emulator import deployments, endpoints, models, operations
from reconciler.emulator.steps import each
from reconciler.emulator.store import BUSY, DONE, Row
from reconciler.emulator.wire.codec import Message, new, parse, to_json
from reconciler.emulator.wire.errors import ApiError, Json, invalid, precondition
from reconciler.emulator.wire.names import canonical, last, project_of
from reconciler.emulator.world import Method, World

KIND = "garden"
SERVER = "loraform/serve"


def deploy(world: World, request: Message) -> Message:
    """Deploy: a model and an endpoint at once, the operation when the server is healthy."""
    parent = canonical(request.destination)
    publisher, name, container = _container(world, request)
    config = request.model_config
    if config.HasField("container_spec"):
        container = {**container, "containerSpec": to_json(config.container_spec)}
    shown = config.model_display_name or name
    upload = {"parent": parent, "modelId": config.model_user_id, "model": {"displayName": shown, **container}}
    uploading = models.upload(world, parse(upload, "UploadModelRequest"))
    uploaded = new("UploadModelResponse")
    uploading.response.Unpack(uploaded)
    place = request.endpoint_config
    endpoint = {
        "displayName": place.endpoint_display_name or shown,
        "dedicatedEndpointEnabled": place.dedicated_endpoint_enabled,
    }
    try:
        creating = endpoints.create(
            world,
            parse(
                {"parent": parent, "endpointId": place.endpoint_user_id, "endpoint": endpoint}, "CreateEndpointRequest"
            ),
        )
        made = new("Endpoint")
        creating.response.Unpack(made)
        deployed: Json = {"model": f"{uploaded.model}@{uploaded.model_version_id}", **_resources(request)}
        asked = {"endpoint": made.name, "deployedModel": deployed, "trafficSplit": {"0": 100}}
        deploying = deployments.deploy(world, parse(asked, "DeployModelRequest"))
    except ApiError:
        models.delete(world, new("DeleteModelRequest", name=uploaded.model))
        raise
    package = request.DESCRIPTOR.file.package
    metadata = new(
        f"{package}.DeployOperationMetadata",
        publisher_model=publisher,
        destination=parent,
        project_number=int(project_of(parent)),
        model_id=last(uploaded.model),
    )
    operation: Message = operations.begin(world, parent, metadata)
    result = {"publisher_model": publisher, "endpoint": made.name, "model": uploaded.model}
    extra = {"package": package, "waits_for": deploying.name, "result": result}
    world.store.add(Row(KIND, operation.name, parent, b"", extra, BUSY))
    return operation


def advance(world: World) -> bool:
    """End the operations whose deployment is over. True when one is still going on."""
    return each(world, KIND, _step)


def _step(world: World, row: Row) -> bool:
    try:
        inner = operations.get(world, new("google.longrunning.GetOperationRequest", name=row.extra["waits_for"]))
    except ApiError:
        inner = None
    if inner is not None and not inner.done:
        return True
    if inner is None:
        operations.fail(world, row.name, precondition("The deployment was forgotten before it was over."))
    elif inner.HasField("error"):
        operations.fail(world, row.name, precondition(inner.error.message))
    else:
        result = new(f"{row.extra['package']}.DeployResponse", **row.extra["result"])
        operations.succeed(world, row.name, result)
    world.store.save(Row(KIND, row.name, row.parent, b"", row.extra, DONE))
    return True


METHODS: Mapping[str, Method] = {"ModelGardenService.Deploy": deploy}


def _container(world: World, request: Message) -> tuple[str, str, Json]:
    """(publisher model, a name for people, the fields of the Model that say what serves and with which weights)."""
    artifacts = request.WhichOneof("artifacts")
    if artifacts == "custom_model":
        uri = request.custom_model.gcs_uri.rstrip("/")
        if not re.fullmatch(r"gs://[^/]+/.+", uri):
            raise invalid("custom_model.gcs_uri", f"Invalid Google Cloud Storage URI {uri or '(empty)'}.")
        container = _serving(last(uri), _form(world, uri))
        return "", last(uri), {"artifactUri": uri, "containerSpec": container}
    if artifacts is None:
        raise invalid("artifacts", "Name a publisher_model_name, a hugging_face_model_id or a custom_model.")
    asked = getattr(request, artifacts)
    if artifacts == "hugging_face_model_id":
        publisher = f"publishers/hf-{asked.partition('/')[0]}/models/{last(asked)}"
    else:
        publisher = asked
    folder = _stand_in(world, asked)
    container = _serving(last(asked), {"form": "full", "model": {"base": folder}})
    if folder.startswith("gs://"):
        return publisher, last(asked), {"artifactUri": folder, "containerSpec": container}
    # Weights in a folder of this machine have no address in a bucket: the server is told where they are.
    container["env"] = [{"name": "AIP_STORAGE_URI", "value": folder}]
    return publisher, last(asked), {"containerSpec": container}


def _form(world: World, uri: str) -> Json:
    """What lies in a folder, as the serving image wants to be told it."""
    adapter = world.mounts.read(f"{uri}/adapter_config.json")
    if adapter is not None:
        try:
            found = json.loads(adapter)
            return {
                "form": "adapter",
                "model": {"base": found["base_model_name_or_path"]},
                "rank": max(1, int(found.get("r", 1))),
            }
        except (ValueError, KeyError, TypeError):
            raise precondition(f"{uri}/adapter_config.json names no base model.") from None
    if world.mounts.read(f"{uri}/config.json") is None:
        raise precondition(
            f"There are no model artifacts in {uri}: neither config.json nor adapter_config.json is there."
        )
    return {"form": "full", "model": {"base": uri}}


def _serving(name: str, form: Json) -> Json:
    spec = {"version": 1, "experiment": name, **form}
    return {
        "imageUri": SERVER,
        "args": ["--spec", json.dumps(spec, sort_keys=True)],
        "predictRoute": "/predict",
        "healthRoute": "/health",
        "deploymentTimeout": "7200s",
    }


def _stand_in(world: World, asked: str) -> str:
    bare = asked.removeprefix("publishers/").replace("/models/", "/")
    for name in (asked, bare, last(bare), "*"):
        if name in world.settings.stand_ins:
            return world.settings.stand_ins[name]
    raise precondition(
        f"Nothing on this machine stands for the model {asked}. Start the server with --stand-ins "
        f"'{json.dumps({bare: '/path/to/a/small/model'})}' (\"*\" stands for every model)."
    )


def _resources(request: Message) -> Json:
    given = request.deploy_config
    if not given.HasField("dedicated_resources"):
        return {"automaticResources": {"minReplicaCount": 1}}
    resources = to_json(given.dedicated_resources)
    resources.setdefault("minReplicaCount", 1)
    return {"dedicatedResources": resources}
