"""PredictionService: which deployed model takes a request, by the traffic split. The caller of `answer` sends it on."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.json_format import SerializeToJsonError

from reconciler.emulator import deployments, endpoints, models, replicas
from reconciler.emulator.store import Row
from reconciler.emulator.wire.codec import Message, to_json
from reconciler.emulator.wire.errors import ApiError, invalid, not_found, precondition
from reconciler.emulator.wire.names import last
from reconciler.emulator.wire.raw_routes import CHAT, INVOKE, RawRequest
from reconciler.emulator.world import Forward, World

_EXACT = 2**53
NOT_INVOKED = (
    "Given request uri is not supported on this endpoint. Please use `/invoke${container_request_path}` to route the "
    "request to the container path. container_request_path must start with a forward slash."
)


def predict(world: World, request: Message) -> Forward:
    """Predict: `instances` and `parameters` go to the container, its `predictions` come back."""
    try:
        body = to_json(request)
    except SerializeToJsonError as error:  # a number such as 1e999, which is JSON and yet cannot be passed on
        raise invalid("instances", str(error)) from None
    body.pop("endpoint", None)
    body.pop("labels", None)
    body.setdefault("instances", [])
    row, model, path = _predicted(world, request.endpoint)
    return _forward(world, row, model, path, json.dumps(_whole(body)).encode(), "application/json")


def raw_predict(world: World, request: Message) -> Forward:
    """RawPredict: any body goes to the container as it is, and its answer comes back as it is."""
    return _raw(world, request, stream=False)


def stream_raw_predict(world: World, request: Message) -> Forward:
    """StreamRawPredict: the answer is passed on piece by piece."""
    return _raw(world, request, stream=True)


def invoke(world: World, request: RawRequest) -> Forward:
    """Invoke: any route of the container, of the endpoint's next model or of a named one."""
    row, model = _target(world, request.endpoint, request.deployed)
    if not model.container_spec.invoke_route_prefix:
        raise ApiError(
            "FAILED_PRECONDITION",
            f"The Model {model.name} has no invokeRoutePrefix: its one route is that of predict and rawPredict.",
        )
    if len(request.path.partition("?")[0]) < 2:
        raise ApiError("INTERNAL", NOT_INVOKED, http_code=400)
    return _forward(world, row, model, request.path, request.body, request.content_type, raw=True, stream=True)


def chat_completions(world: World, request: RawRequest) -> Forward:
    """ChatCompletions: an OpenAI request, to the container's predict route, or to its own chat route where all of
    them can be invoked.
    """
    row, model = _target(world, request.endpoint)
    path = "/v1/chat/completions" if model.container_spec.invoke_route_prefix else replicas.routes(model, row)[1]
    body, content_type, wrapped = _unwrap(request.body, request.content_type)
    return _forward(world, row, model, path, body, content_type, raw=True, wrapped=wrapped, stream=True)


METHODS: Mapping[str, Callable[[World, Any], Forward]] = {
    "PredictionService.Predict": predict,
    "PredictionService.RawPredict": raw_predict,
    "PredictionService.StreamRawPredict": stream_raw_predict,
    INVOKE: invoke,
    CHAT: chat_completions,
}


def _raw(world: World, request: Message, *, stream: bool) -> Forward:
    body, content_type, wrapped = _unwrap(request.http_body.data, request.http_body.content_type)
    row, model, path = _predicted(world, request.endpoint)
    return _forward(world, row, model, path, body, content_type, raw=True, wrapped=wrapped, stream=stream)


def _whole(value: Any) -> Any:
    """Numbers without a fraction as integers: proto types know only doubles; the service prints 1, not 1.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value


def _unwrap(data: bytes, content_type: str) -> tuple[bytes, str, bool]:
    """Google's typed clients send `{"httpBody": {"contentType", "data"}}` and want the same back; others send bytes."""
    if data.lstrip()[:1] == b"{" and b"http" in data[:200]:
        try:
            found = json.loads(data)
            inner = found.get("httpBody", found.get("http_body"))
            if isinstance(inner, dict) and set(found) <= {"httpBody", "http_body", "endpoint"}:
                kind = inner.get("contentType", inner.get("content_type", "")) or "application/json"
                return base64.b64decode(inner.get("data", "")), str(kind), True
        except (ValueError, binascii.Error, TypeError):
            pass
    return data, content_type or "application/json", False


def _predicted(world: World, endpoint: str) -> tuple[Row, Message, str]:
    """The deployment that takes the next request, its model, and the container's predict route."""
    row, model = _target(world, endpoint)
    if model.container_spec.invoke_route_prefix:
        raise ApiError("INTERNAL", NOT_INVOKED, http_code=400)
    return row, model, replicas.routes(model, row)[1]


def _target(world: World, name: str, deployed: str = "") -> tuple[Row, Message]:
    """The deployment that takes the next request, or the one that is named, and its model."""
    endpoint = endpoints.find(world, name)
    if deployed and deployed not in {one.id for one in endpoint.deployed_models}:
        raise not_found(f"The DeployedModel {deployed} of {endpoint.name}")
    row = _ready(world, endpoint, deployed or _chosen(world, endpoint))
    return row, models.find(world, f"{row.extra['model']}@{row.extra['version']}")


def _forward(
    world: World,
    row: Row,
    model: Message,
    path: str,
    body: bytes,
    content_type: str,
    *,
    raw: bool = False,
    wrapped: bool = False,
    stream: bool = False,
) -> Forward:
    facts = {
        "deployedModelId": last(row.name),
        "model": model.name,
        "modelVersionId": model.version_id,
        "modelDisplayName": model.display_name,
    }
    found = () if row.extra.get("stub") else replicas.choose(world, row)
    return Forward(found, path, body, content_type, facts, raw, wrapped, stream)


def _chosen(world: World, endpoint: Message) -> str:
    """The id of the next deployment in turn.

    Smooth weighted round robin: a split of 90 and 10 is exact in every ten requests.
    """
    if not endpoint.deployed_models:
        raise precondition(f"The Endpoint {endpoint.name} has no deployed model.")
    shares = {name: share for name, share in endpoint.traffic_split.items() if share > 0}
    if not shares:
        raise precondition(f"The Endpoint {endpoint.name} doesn't have traffic_split.")
    credit = world.turns.credit.setdefault(endpoint.name, {})
    for each, share in shares.items():
        credit[each] = credit.get(each, 0.0) + share
    name: str = max(sorted(shares), key=lambda one: credit[one])
    credit[name] -= sum(shares.values())
    return name


def _ready(world: World, endpoint: Message, name: str) -> Row:
    row = world.store.get(deployments.KIND, f"{endpoint.name}/deployedModels/{name}")
    if row is None or not replicas.available(world, row):
        raise ApiError(
            "UNAVAILABLE", f"The DeployedModel {name} of {endpoint.name} is not ready: its server is being started."
        )
    return row
