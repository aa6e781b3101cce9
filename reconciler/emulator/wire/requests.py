"""From an HTTP request to a method's request message: path, query and body together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from reconciler.emulator.wire.codec import BETA_NAMESPACE, Message, message_class, parse, parse_text, snake
from reconciler.emulator.wire.errors import ApiError, Json, Violation
from reconciler.emulator.wire.routes import Match

# Google's system parameters, which belong to no method.
_SYSTEM = {"alt", "$alt", "key", "prettyPrint", "$prettyPrint", "fields", "$fields", "access_token", "oauth_token"}
_SYSTEM |= {"quotaUser", "callback", "$.xgafv", "uploadType", "upload_protocol", "$httpMethod", "$ct"}
_FOREIGN_TYPES = {
    "Operations.GetOperation": "google.longrunning.GetOperationRequest",
    "Operations.ListOperations": "google.longrunning.ListOperationsRequest",
    "Operations.WaitOperation": "google.longrunning.WaitOperationRequest",
    "Operations.DeleteOperation": "google.longrunning.DeleteOperationRequest",
    "Operations.CancelOperation": "google.longrunning.CancelOperationRequest",
    "Locations.GetLocation": "google.cloud.location.GetLocationRequest",
    "Locations.ListLocations": "google.cloud.location.ListLocationsRequest",
}
# What the v1 types lack (`custom_model`) the others have, and each version's client wants its own types back.
_BETA = {"ModelGardenService.Deploy"}
# Their types lack fields that clients send (`wire.tuning_types`): the service reads the JSON itself.
AS_JSON = {"GenAiTuningService.CreateTuningJob"}
RAW = {"PredictionService.RawPredict", "PredictionService.StreamRawPredict"}


def build(match: Match, query: str, body: bytes, content_type: str = "") -> Message:
    """The request message; `content_type` is that of the body, for methods that take any body.

    Raises `ApiError` INVALID_ARGUMENT.
    """
    binding = match.binding
    kind = request_type(binding.method, match.version)
    fields: Json = {}
    if binding.method in RAW:
        request = parse({}, kind)
        request.http_body.data, request.http_body.content_type = body, content_type
    else:
        if binding.body == "*":
            fields = parse_text(body)
        elif binding.body:
            fields = {binding.body: parse_text(body)}
        elif body.strip():
            parse_text(body)
        _add_query(fields, parse_qsl(query, keep_blank_values=True), kind)
        if binding.method in AS_JSON:
            return {**fields, binding.variable: match.value}
        request = parse(fields, kind)
    _set(request, binding.variable.split("."), match.value)
    return request


def numeric_enums(query: str) -> bool:
    """Whether the caller asks for enums as numbers: `$alt=json;enum-encoding=int`."""
    return "enum-encoding" in query and any(
        key in ("$alt", "alt") and "enum-encoding=int" in value for key, value in parse_qsl(query)
    )


def request_type(method: str, version: str = "v1") -> str:
    """`CreateCustomJobRequest` for `JobService.CreateCustomJob`."""
    if method in _BETA and version != "v1":
        return f"{BETA_NAMESPACE}.{method.rpartition('.')[2]}Request"
    return _FOREIGN_TYPES.get(method) or method.rpartition(".")[2] + "Request"


def _add_query(fields: Json, pairs: Iterable[tuple[str, str]], kind: str) -> None:
    for key, value in pairs:
        if key in _SYSTEM:
            continue
        path = [snake(part) for part in key.split(".")]
        descriptor = message_class(kind).DESCRIPTOR
        target: Any = fields
        for part in path[:-1]:
            field = descriptor.fields_by_name.get(part)
            if field is None or field.message_type is None:
                raise _no_parameter(key)
            descriptor = field.message_type
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise _no_parameter(key)
        field = descriptor.fields_by_name.get(path[-1])
        if field is None:
            raise _no_parameter(key)
        found = _value(field, value)
        if field.is_repeated:
            several = target.setdefault(path[-1], [])
            if not isinstance(several, list):  # the body has given it, and as something else
                raise _no_parameter(key)
            several.append(found)
        else:
            target[path[-1]] = found


def _value(field: Any, text: str) -> Any:
    if field.type == field.TYPE_BOOL:
        return {"true": True, "false": False}.get(text.lower(), text)
    if field.message_type is not None and field.message_type.full_name == "google.protobuf.FieldMask":
        return ",".join(_mask_path(path.strip()) for path in text.split(",")) if text.strip() else ""
    return text


def _mask_path(path: str) -> str:
    """FieldMask's JSON form takes camelCase only; the service takes both."""
    head, *rest = path.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _set(request: Message, path: list[str], value: str) -> None:
    for part in path[:-1]:
        request = getattr(request, part)
    setattr(request, path[-1], value)


def _no_parameter(key: str) -> ApiError:
    text = (
        f'Invalid JSON payload received. Unknown name "{key}": Cannot bind query parameter. '
        f"Field '{key}' could not be found in request message."
    )
    return ApiError("INVALID_ARGUMENT", text, (Violation(key, text),))
