"""Reads a compiled pipeline (KFP v2 IR): its parameters, its tasks in order, and the words of a task's container.

What is not run here (iterators, conditions, nested DAGs, importers, resolvers) is refused by name, never skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.emulator.wire.errors import ApiError, Json, invalid

_TYPES: Mapping[str, tuple[type, ...]] = {
    "STRING": (str,), "TASK_FINAL_STATUS": (str, dict), "NUMBER_INTEGER": (int, float), "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,), "LIST": (list,), "STRUCT": (dict,),
    "INT": (int, float), "DOUBLE": (int, float),
}  # fmt: skip
_PLACEHOLDER = re.compile(r"\{\{\$(.*?)\}\}")
_PART = re.compile(r"\.(inputs|outputs)\.(parameters|artifacts)\['([^']+)'\](?:\.(\w+)|\['([^']+)'\])?")


@dataclass(frozen=True, slots=True)
class Task:
    """One task: its container, where its inputs come from, what it puts out (artifacts with their schema titles)."""

    name: str
    container: Json
    inputs: Json
    defaults: Json
    artifacts_in: Json
    out_parameters: Mapping[str, str]
    out_artifacts: Mapping[str, Json]
    after: frozenset[str]
    whatever_happened: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """What placeholders of one task mean: values, artifacts (`{"name", "uri", "metadata"}`), files, names."""

    parameters: Mapping[str, Any]
    artifacts: Mapping[str, Json]
    out_files: Mapping[str, str]
    out_artifacts: Mapping[str, Json]
    executor_file: str
    names: Mapping[str, str]


def declared(spec: Json) -> Json:
    """The parameters of a pipeline by name: `{"parameterType", "defaultValue", "isOptional"}`."""
    definitions = _dict(_dict(spec, "root"), "inputDefinitions")
    found: Json = {name: _plain(one) for name, one in _dict(definitions, "parameters").items()}
    return found


def fill(parameters: Json, given: Mapping[str, Any]) -> Json:
    """The values of a run: `given`, checked against the declaration, and the defaults of all others.

    Raises INVALID_ARGUMENT that names an undeclared parameter, a missing one, or one of another type.
    """
    place = "pipeline_job.runtime_config.parameter_values"
    for name in given:
        if name not in parameters:
            raise invalid(
                f"{place}[{name}]",
                f"The pipeline parameter {name} is not found in the pipeline job input definitions. "
                f"Declared are: {', '.join(sorted(parameters)) or 'none'}.",
            )
    values: Json = {}
    for name, one in parameters.items():
        if name in given:
            values[name] = _checked(name, str(one.get("parameterType") or one.get("type", "")), given[name], place)
        elif "defaultValue" in one:
            values[name] = one["defaultValue"]
        elif not one.get("isOptional"):
            raise invalid(f"{place}[{name}]", f"The pipeline parameter {name} is required and has no value.")
    return values


def name_of(spec: Json) -> str:
    """The pipeline's own name."""
    return str(_dict(spec, "pipelineInfo").get("name", "pipeline"))


def tasks_of(spec: Json) -> dict[str, Task]:
    """The tasks of a pipeline in an order in which they can run. Raises INVALID_ARGUMENT or UNIMPLEMENTED."""
    components = _dict(spec, "components")
    executors = _dict(_dict(spec, "deploymentSpec"), "executors")
    written = _dict(_dict(_dict(spec, "root"), "dag"), "tasks")
    if not written:
        raise invalid(
            "pipeline_job.pipeline_spec.root.dag", "The pipeline has no tasks: it is no compiled KFP v2 spec."
        )
    tasks = {name: _task(name, _plain(one), components, executors) for name, one in written.items()}
    for task in tasks.values():
        missing = task.after - set(tasks)
        if missing:
            raise invalid(
                "pipeline_job.pipeline_spec", f"The task {task.name} waits for {min(missing)}, which is not there."
            )
    ordered: dict[str, Task] = {}
    while len(ordered) < len(tasks):
        ready = [task for task in tasks.values() if task.name not in ordered and task.after <= set(ordered)]
        if not ready:
            rest = ", ".join(sorted(set(tasks) - set(ordered)))
            raise invalid("pipeline_job.pipeline_spec", f"These tasks wait for each other: {rest}.")
        ordered.update({task.name: task for task in ready})
    return ordered


def words(texts: list[str], scene: Scene) -> list[str]:
    """Command or args with all placeholders resolved; optional arguments whose input is absent fall away."""
    found: list[str] = []
    for text in texts:
        found += _structured(text, scene)
    return found


def executor_input(scene: Scene) -> Json:
    """What `{{$}}` stands for."""
    return {
        "inputs": {
            "parameterValues": dict(scene.parameters),
            "parameters": {name: _typed(value) for name, value in scene.parameters.items()},
            "artifacts": {name: {"artifacts": [one]} for name, one in scene.artifacts.items()},
        },
        "outputs": {
            "parameters": {name: {"outputFile": file} for name, file in scene.out_files.items()},
            "artifacts": {name: {"artifacts": [one]} for name, one in scene.out_artifacts.items()},
            "outputFile": scene.executor_file,
        },
    }


def as_text(value: Any) -> str:
    """A value as a container's word: strings as they are, whole numbers without a point, all else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return json.dumps(value)


def _task(name: str, one: Json, components: Json, executors: Json) -> Task:
    for key in ("iterator", "parameterIterator", "artifactIterator"):
        if key in one:
            raise _not_run(name, "is repeated by an iterator (ParallelFor)")
    policy = _dict(one, "triggerPolicy")
    if policy.get("condition"):
        raise _not_run(name, "runs on a condition (dsl.If)")
    component = _plain(components.get(str(_dict(one, "componentRef").get("name")), {}))
    if "dag" in component:
        raise _not_run(name, "is a pipeline of its own (a nested DAG)")
    container = _dict(_dict(executors, str(component.get("executorLabel"))), "container")
    if not container.get("image"):
        raise _not_run(name, "has no container (an importer or a resolver)")
    inputs = _dict(one, "inputs")
    waits = one.get("dependentTasks", [])
    if not isinstance(waits, list):
        raise invalid("pipeline_job.pipeline_spec", f"The dependentTasks of {name} must be a list.")
    after = set(map(str, waits))
    for source in (*_dict(inputs, "parameters").values(), *_dict(inputs, "artifacts").values()):
        for key in ("taskOutputParameter", "taskOutputArtifact"):
            producer = _dict(_plain(source), key).get("producerTask")
            if producer:
                after.add(str(producer))
    puts_out = _dict(component, "outputDefinitions")
    return Task(
        name=name,
        container=container,
        inputs=_dict(inputs, "parameters"),
        defaults={
            key: value["defaultValue"]
            for key, value in _dict(_dict(component, "inputDefinitions"), "parameters").items()
            if isinstance(value, dict) and "defaultValue" in value
        },
        artifacts_in=_dict(inputs, "artifacts"),
        out_parameters={
            key: str(_plain(value).get("parameterType", "STRING"))
            for key, value in _dict(puts_out, "parameters").items()
        },
        out_artifacts=_dict(puts_out, "artifacts"),
        after=frozenset(after),
        whatever_happened=policy.get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED",
    )


def _structured(text: str, scene: Scene) -> list[str]:
    if text.startswith(('{"IfPresent"', '{"Concat"')):
        try:
            return _tree(json.loads(text), scene)
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
    return [_resolved(text, scene)]


def _tree(node: Any, scene: Scene) -> list[str]:
    if isinstance(node, str):
        return [_resolved(node, scene)]
    if isinstance(node, list):
        return [word for part in node for word in _tree(part, scene)]
    if "Concat" in node:
        return ["".join(_tree(node["Concat"], scene))]
    choice = node["IfPresent"]
    present = choice["InputName"] in scene.parameters or choice["InputName"] in scene.artifacts
    return _tree(choice["Then"] if present else choice.get("Else", []), scene)


def _resolved(text: str, scene: Scene) -> str:
    return _PLACEHOLDER.sub(lambda found: _value(found[0], found[1], scene), text)


def _value(whole: str, inner: str, scene: Scene) -> str:
    if not inner:
        return json.dumps(executor_input(scene))
    if inner.startswith(".json_escape"):
        return json.dumps(json.dumps(executor_input(scene)))[1:-1]
    named = scene.names.get(inner.removeprefix("."))
    if named is not None:
        return named
    part = _PART.fullmatch(inner)
    if part is None:
        return whole
    direction, kind, name, attribute, _ = part.groups()
    if kind == "parameters":
        if direction == "outputs":
            return scene.out_files.get(name, whole)
        return as_text(scene.parameters[name]) if name in scene.parameters else ""
    one = (scene.artifacts if direction == "inputs" else scene.out_artifacts).get(name)
    if one is None:
        return ""
    uri = str(one.get("uri", ""))
    shown = {"uri": uri, "path": uri.replace("gs://", "/gcs/", 1), "name": str(one.get("name", ""))}
    return shown.get(attribute or "uri", json.dumps(one.get("metadata", {})))


def _checked(name: str, kind: str, value: Any, place: str) -> Any:
    wanted = _TYPES.get(kind)
    fits = wanted is None or (isinstance(value, wanted) and not (isinstance(value, bool) and bool not in wanted))
    if fits and kind in ("NUMBER_INTEGER", "INT") and isinstance(value, float):
        fits = value.is_integer()
    if not fits:
        raise invalid(
            f"{place}[{name}]", f"The pipeline parameter {name} must be of type {kind}, not {json.dumps(value)}."
        )
    return value


def _typed(value: Any) -> Json:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return {"stringValue": as_text(value)}
    return {"intValue": int(value)} if float(value).is_integer() else {"doubleValue": value}


def _not_run(task: str, why: str) -> ApiError:
    return ApiError(
        "UNIMPLEMENTED",
        f"The task {task} {why}, which the embedded Vertex AI does not run. Containers in a DAG are run.",
    )


def _dict(holder: Json, key: str) -> Json:
    return _plain(holder.get(key, {}))


def _plain(value: Any) -> Json:
    if not isinstance(value, dict):
        raise invalid(
            "pipeline_job.pipeline_spec", f"The pipeline spec is malformed: an object is wanted, not {value!r}."
        )
    return value
