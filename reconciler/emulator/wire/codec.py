"""JSON to Google's proto messages and back. What the types do not know is a 400, in Google's own words.

The types are loaded without the client classes around them: half the start-up time and a quarter of the memory.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import re
import sys
import types
from functools import cache
from typing import Any, TypeAlias

from google.protobuf import descriptor_pool, json_format, message_factory

from reconciler.emulator.wire.errors import ApiError, Json, Violation
from reconciler.emulator.wire.printing import printed

Message: TypeAlias = Any
"""A protobuf message. Google's generated classes have no types that mypy could see."""

PACKAGE = "google.cloud.aiplatform_v1"
NAMESPACE = "google.cloud.aiplatform.v1"
TYPE_MODULES = ("job_service", "model_service", "endpoint_service", "prediction_service", "model_garden_service")
BETA_PACKAGE, BETA_NAMESPACE = "google.cloud.aiplatform_v1beta1", "google.cloud.aiplatform.v1beta1"
"""Loaded when the first request needs it: the services of which only the newer API has the whole request."""
BETA_TYPE_MODULES = ("model_garden_service",)


@cache
def message_class(name: str) -> Any:
    """The class of `CustomJob` (Vertex AI v1), or of a full name such as `google.longrunning.Operation`."""
    _load_types()
    if name.startswith(BETA_NAMESPACE):
        _load_package(BETA_PACKAGE, BETA_TYPE_MODULES)
    full = name if "." in name else f"{NAMESPACE}.{name}"
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(full))


def new(name: str, /, **fields: Any) -> Message:
    """A message of the type `name`."""
    return message_class(name)(**fields)


def parse(body: Json, name: str, at: str = "") -> Message:
    """Read JSON (camelCase or snake_case, enums by name or number) as message `name`.

    Raises `ApiError` INVALID_ARGUMENT for an unknown field or a value of the wrong type. `at` says where in the
    request the JSON stands, for the message.
    """
    return fill(new(name), body, at)


def fill(message: Message, body: Json, at: str = "") -> Message:
    """The same into a message that is there already."""
    try:
        json_format.ParseDict(body, message, max_recursion_depth=100)
    except (
        json_format.ParseError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
        OverflowError,
        SystemError,
    ) as error:
        raise _bad_json(str(error), at) from None
    return message


def parse_text(text: bytes) -> Json:
    """A JSON object. Raises `ApiError` INVALID_ARGUMENT for anything else; an empty body is `{}`."""
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ApiError("INVALID_ARGUMENT", f"Invalid JSON payload received. {error}") from None
    if not isinstance(value, dict):
        raise ApiError("INVALID_ARGUMENT", "Invalid JSON payload received. The root must be an object.")
    return value


def to_json(message: Message, *, numbers: bool = False) -> Json:
    """JSON as Google prints it: camelCase, int64 as strings, defaults left out; enums by name unless `numbers`."""
    found: Json = printed(message, numbers)
    return found


def enum_name(message: Message, field: str) -> str:
    """The name of an enum field's value; a number that has none in digits."""
    number = getattr(message, field)
    value = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(number)
    return str(number if value is None else value.name)


def full_name(message: Message) -> str:
    """`google.cloud.aiplatform.v1.CustomJob`."""
    name: str = message.DESCRIPTOR.full_name
    return name


def camel(name: str) -> str:
    """`display_name` -> `displayName`, dots kept."""
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


def snake(name: str) -> str:
    """`displayName` -> `display_name`, dots kept."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: "_" + found[1].lower(), name)


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON.")


def _finite(text: str) -> float:
    """A number that JSON can tell again: 1e999 is none."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"The number {text[:40]} is too large.")
    return value


def _bad_json(text: str, at: str) -> ApiError:
    unknown = re.search(r'has no field named "([^"]*)" at "([^"]*)"', text)
    if unknown is None:
        message = f"Invalid value at '{at}': {text}" if at else f"Invalid JSON payload received. {text}"
        return ApiError("INVALID_ARGUMENT", message, (Violation(at, text),))
    inside = [snake(part) for part in unknown[2].split(".")[1:]]
    place = ".".join(part for part in (at, *inside) if part)
    where = f" at '{place}'" if place else ""
    message = f'Invalid JSON payload received. Unknown name "{unknown[1]}"{where}: Cannot find field.'
    return ApiError("INVALID_ARGUMENT", message, (Violation(place, message),))


@cache
def _load_types() -> None:
    importlib.import_module("google.longrunning.operations_pb2")
    importlib.import_module("google.cloud.location.locations_pb2")
    importlib.import_module("google.protobuf.empty_pb2")
    _load_package(PACKAGE, TYPE_MODULES)


@cache
def _load_package(package: str, modules: tuple[str, ...]) -> None:
    if package in sys.modules:
        importlib.import_module(f"{package}.types")
        return
    # `import google.cloud.aiplatform_v1` would also import 30 clients, gRPC and requests. A bare package in its place
    # lets the types be found; it goes again, so that a later ordinary import still works.
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"{package} is not installed: pip install 'loraform[local]'")
    bare = types.ModuleType(package)
    bare.__path__ = list(spec.submodule_search_locations or [])
    sys.modules[package] = bare
    try:
        for module in modules:
            importlib.import_module(f"{package}.types.{module}")
    finally:
        del sys.modules[package]
