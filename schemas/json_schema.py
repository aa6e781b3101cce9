"""The JSON Schemas for editors and programs, from the pydantic models: `json/*.schema.json`.

Editors complete manifests with them (`# yaml-language-server: $schema=...`). Each description ends with what a
change of the field brings about.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from schemas.effects import effect_of
from schemas.endpoint import Endpoint
from schemas.experiment import Experiment
from schemas.metrics import Metrics
from schemas.plan import Plan
from schemas.project import Project

FOLDER = Path(__file__).with_name("json")
MODELS: dict[str, type[BaseModel]] = {
    "experiment": Experiment,
    "endpoint": Endpoint,
    "project": Project,
    "plan": Plan,
    "metrics": Metrics,
}
WRITTEN = (Plan, Metrics)
"""What Loraform writes, and people read."""
DIALECT = GenerateJsonSchema.schema_dialect


def texts() -> dict[Path, str]:
    """The files with the text that they must have."""
    return {
        FOLDER / f"{name}.schema.json": json.dumps(schema(model), indent=1, ensure_ascii=False) + "\n"
        for name, model in MODELS.items()
    }


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a manifest or of the plan."""
    built = model.model_json_schema(by_alias=True, mode="serialization" if model in WRITTEN else "validation")
    parts = {part.__name__: part for part in _parts(model)}
    for name, definition in [(model.__name__, built), *built.get("$defs", {}).items()]:
        _tidied(definition)
        if name in parts:
            _with_effects(definition, parts[name])
    if model is Project:
        built["properties"]["defaults"] = _defaults()
    return {
        "$schema": DIALECT,
        "title": f"Loraform {model.__name__}",
        **{k: v for k, v in built.items() if k != "title"},
    }


def _defaults() -> dict[str, Any]:
    """The project's defaults are blocks of an experiment; their schema is another file."""
    names = ("owner", "labels", "model", "data", "adapter", "quantization", "training", "run", "evaluation", "serving")
    found = Project.model_fields["defaults"].description
    return {
        "type": "object",
        "description": found,
        "properties": {name: {"$ref": f"experiment.schema.json#/properties/{name}"} for name in names},
    }


def _parts(model: type[BaseModel]) -> set[type[BaseModel]]:
    found, todo = set(), [model]
    while todo:
        part = todo.pop()
        if part not in found:
            found.add(part)
            todo += [inner for field in part.model_fields.values() for inner in _models_in(field.annotation)]
    return found


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [inner for part in getattr(annotation, "__args__", ()) for inner in _models_in(part)]


def _tidied(node: Any) -> None:
    """Leave out what says nothing: generated titles, `anyOf` where a list of types is as good."""
    if isinstance(node, list):
        for item in node:
            _tidied(item)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("title"), str):
        del node["title"]
    for value in node.values():
        _tidied(value)
    choices = node.get("anyOf")
    if isinstance(choices, list) and len(choices) == 2 and {"type": "null"} in choices:
        other = next(choice for choice in choices if choice != {"type": "null"})
        if isinstance(other.get("type"), str) and "const" not in other:
            del node["anyOf"]
            rest = {key: value for key, value in other.items() if key != "type"}
            if "enum" in rest:
                rest["enum"] = [*rest["enum"], None]
            node.update({"type": [other["type"], "null"], **rest})
    if "const" in node and "default" in node:
        node.setdefault("type", "string")


def _with_effects(definition: dict[str, Any], part: type[BaseModel]) -> None:
    """Say at the end of each description what a change of the field brings about."""
    properties = definition.get("properties", {})
    for name, field in part.model_fields.items():
        effect, shown = effect_of(field), properties.get(field.alias or name)
        if effect is None or shown is None:
            continue
        text = field.description or ""
        shown["description"] = f"{text} [{effect}]".strip()
