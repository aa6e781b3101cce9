"""Write `keys.json` and the JSON Schemas: `python -m schemas.generate`. Needs trl, peft, transformers and vLLM.

The keys, types and defaults are read from the installed libraries; what a change of a key brings about is decided
in `ownership.py`. A default that the table has once published stays: another default would mean another training
for the same manifest. Where a library has moved on, the table keeps the old value and says so.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import importlib.metadata
import inspect
import json
import os
import re
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from schemas import json_schema, ownership

ROOT = Path(__file__).parent
HELP_LENGTH = 140


class Row(typing.NamedTuple):
    """A key as a library declares it."""

    name: str
    annotation: Any
    default: Any
    help: str = ""


def main() -> int:
    """Write all generated files; print what changed. Returns 0."""
    for path, text in sorted(generated().items()):
        before = path.read_text() if path.exists() else ""
        if before != text:
            path.write_text(text)
            sys.stdout.write(f"wrote {path.relative_to(ROOT.parent)}\n")
            if path.name == "keys.json":  # the models were built from the table as it was before
                sys.stdout.flush()
                os.execv(sys.executable, [sys.executable, "-m", "schemas.generate"])
    return 0


def generated() -> dict[Path, str]:
    """Every generated file with the text that it must have."""
    texts = {ROOT / "keys.json": keys_text()}
    return texts | json_schema.texts()


def keys_text() -> str:
    """The table as JSON text: one key a line, so that a change of a library is a readable diff."""
    path = ROOT / "keys.json"
    before = json.loads(path.read_text())["blocks"] if path.exists() else {}
    blocks = []
    for name, (library, rows) in blocks_from_libraries().items():
        old = before.get(name, {}).get("keys", {})
        lines = [
            f"    {json.dumps(row.name)}: {json.dumps(entry(name, row, old.get(row.name)), ensure_ascii=False)}"
            for row in sorted(rows)
        ]
        blocks.append(f'  "{name}": {{"library": "{library}", "keys": {{\n' + ",\n".join(lines) + "\n  }}")
    return '{"blocks": {\n' + ",\n".join(blocks) + "\n}}\n"


def blocks_from_libraries() -> dict[str, tuple[str, list[Row]]]:
    """The rows of every block as the installed libraries have them."""
    peft, trl = importlib.import_module("peft"), importlib.import_module("trl")
    transformers, vllm = importlib.import_module("transformers"), importlib.import_module("vllm")
    arguments = importlib.import_module("vllm.engine.arg_utils")
    engine = arguments.AsyncEngineArgs
    sampling = vllm.SamplingParams
    return {
        "adapter": (label("peft", peft.LoraConfig), list(of_dataclass(peft.LoraConfig))),
        "quantization": (
            label("transformers", transformers.BitsAndBytesConfig),
            list(of_signature(transformers.BitsAndBytesConfig)),
        ),
        "training": (label("trl", trl.SFTConfig), list(of_dataclass(trl.SFTConfig))),
        "engine": (label("vllm", engine), list(of_dataclass(engine, help_of_parser(arguments)))),
        "generation": (label("vllm", sampling), list(of_struct(sampling))),
    }


def label(distribution: str, owner: type) -> str:
    """`trl 1.16.0 SFTConfig`. The CPU build of vLLM has a name of its own."""
    for name in (distribution, f"{distribution}-cpu"):
        try:
            return f"{distribution} {importlib.metadata.version(name).split('+')[0]} {owner.__name__}"
        except importlib.metadata.PackageNotFoundError:
            continue
    raise SystemExit(f"{distribution} is not installed: pip install 'loraform[train,serve]'")


def of_dataclass(owner: Any, texts: Mapping[str, str] | None = None) -> Iterator[Row]:
    """The fields of a dataclass; annotations that cannot be evaluated count as `Any`."""
    for field in dataclasses.fields(owner):
        if field.name.startswith("_"):
            continue
        default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        text = (texts or {}).get(field.name) or field.metadata.get("help", "")
        yield Row(field.name, evaluated(owner, field.name, field.type), default, text)


def of_signature(owner: Any) -> Iterator[Row]:
    """The parameters of a constructor without annotations: the default tells the type."""
    documented = dict(parameters_of(owner.__doc__ or ""))
    for name, parameter in inspect.signature(owner.__init__).parameters.items():
        if name == "self" or parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        yield Row(
            name,
            Any if parameter.default is None else type(parameter.default),
            parameter.default,
            documented.get(name, ""),
        )


def of_struct(owner: Any) -> Iterator[Row]:
    """The public fields of a msgspec struct."""
    plain = owner()
    hints = {
        key: value for base in reversed(owner.__mro__) for key, value in vars(base).get("__annotations__", {}).items()
    }
    for name in owner.__struct_fields__:
        if not name.startswith("_"):
            yield Row(name, hints[name], getattr(plain, name))


def evaluated(owner: type, name: str, annotation: Any) -> Any:
    """An annotation, evaluated in the module of the class that declares it."""
    if not isinstance(annotation, str):
        return annotation
    for base in owner.__mro__:
        if name in vars(base).get("__annotations__", {}):
            scope = {**vars(typing), **vars(sys.modules[base.__module__])}
            try:
                return eval(annotation, scope)
            except NameError:
                return Any
    return Any


def help_of_parser(arguments: Any) -> dict[str, str]:
    """vLLM documents its arguments in its parser."""
    utilities = importlib.import_module("vllm.utils.argparse_utils")
    parser = arguments.AsyncEngineArgs.add_cli_args(utilities.FlexibleArgumentParser())
    return {action.dest: action.help or "" for action in parser._actions}


def parameters_of(doc: str) -> Iterator[tuple[str, str]]:
    """(name, first words) of the parameters in a docstring of transformers."""
    for match in re.finditer(r"^        (\w+) \(.*\):\n\s+(.+(?:\n\s{12}.+)*)", doc, re.MULTILINE):
        yield match.group(1), match.group(2)


def entry(block: str, row: Row, old: Mapping[str, Any] | None) -> dict[str, Any]:
    """One row of the table."""
    text, choices = ownership.TYPES.get((block, row.name)) or type_of(row)
    default = ownership.DEFAULTS.get((block, row.name), jsonable(row.default))
    result: dict[str, Any] = {"type": text, "default": default, "effect": ownership.effect_of(block, row.name)}
    if choices:
        result["choices"] = list(choices)
    if old is not None and old["default"] != default and ownership.binds(result["effect"]):
        result |= {"default": old["default"], "library_default": default}
    if ownership.selects(block, row.name):
        result["selects"] = True
    if sentence := first_sentence(row.help):
        result["help"] = sentence
    return result


def type_of(row: Row) -> tuple[str, tuple[Any, ...]]:
    """The type in the table's language (see `keys.core_of`) and the values that it is narrowed to."""
    names, choices = described(row.annotation)
    if row.default is None and "any" not in names:
        names.append("null")
    order = ["int", "float", "str", "bool", "map", "any", "null"]
    unique = sorted(dict.fromkeys(names), key=lambda name: order.index(name) if name in order else 4)
    if "any" in unique:
        unique, choices = ["any"], []
    if "int" in unique and "float" in unique:
        unique.remove("int")
    open_text = "str" in unique and choices == []
    return "|".join(unique), () if open_text else tuple(dict.fromkeys(choices))


def described(annotation: Any) -> tuple[list[str], list[Any]]:
    """(type names, literal choices) of an annotation. A text that may also be free has no choices."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return ["any"], []
    if annotation in (None, type(None)):
        return ["null"], []
    if origin is typing.Annotated:
        return described(arguments[0])
    if origin is typing.Literal:
        return of_literals(arguments)
    if origin in (typing.Union, types.UnionType):
        return of_union(arguments)
    if origin in (list, tuple, set, frozenset):
        inner, choices = described(arguments[0]) if arguments else (["any"], [])
        return [f"list[{'|'.join(inner)}]"], choices
    if origin in (dict, Mapping):
        inner, _ = described(arguments[1])
        return ["map" if inner == ["any"] else f"map[{'|'.join(inner)}]"], []
    return of_class(annotation)


def of_literals(values: Iterable[Any]) -> tuple[list[str], list[Any]]:
    """Texts and whole numbers are choices; a literal True or False makes it a bool."""
    kept = [value for value in values if isinstance(value, (str, int)) and not isinstance(value, bool)]
    names = [type(value).__name__ for value in kept]
    names += ["bool"] if any(isinstance(value, bool) for value in values) else []
    return list(dict.fromkeys(names)), kept


def of_union(parts: Iterable[Any]) -> tuple[list[str], list[Any]]:
    """Alternatives. `Enum | str` is the enum as text; `Literal | str` is free text."""
    names: list[str] = []
    choices: list[Any] = []
    free = False
    enums = [part for part in parts if isinstance(part, type) and issubclass(part, enum.Enum)]
    for part in parts:
        inner, values = described(part)
        if inner == ["opaque"]:
            continue
        free = free or (part is str and not enums)
        names += inner
        choices += values
    return names, [] if free else choices


def of_class(annotation: Any) -> tuple[list[str], list[Any]]:
    """Scalars as they are, enums by value, dtypes by name, configuration classes as maps, all else opaque."""
    if annotation in (int, float, str, bool):
        return [annotation.__name__], []
    if annotation is dict:
        return ["map"], []
    if annotation is list:
        return ["list[any]"], []
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        values = [member.value for member in annotation]
        if all(isinstance(value, str) for value in values):
            return ["str"], values
        if all(isinstance(value, int) for value in values):
            return ["int"], values
        return ["str"], [member.name for member in annotation]
    if isinstance(annotation, type) and (
        dataclasses.is_dataclass(annotation) or hasattr(annotation, "__struct_fields__")
    ):
        return ["map"], []
    if isinstance(annotation, type) and annotation.__name__ == "dtype":
        return ["str"], []
    return ["opaque"], []


def jsonable(value: Any) -> Any:
    """A default as JSON: enums by value, sets sorted, configuration objects as an empty map."""
    if value is dataclasses.MISSING:
        return None
    if isinstance(value, enum.Enum):
        return value.value if isinstance(value.value, (str, int)) else value.name
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(jsonable(item) for item in value)
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    return {}


def first_sentence(text: str) -> str:
    """The first sentence of a help text on one line, cut at a word."""
    line = " ".join(re.sub(r"<[^>]+>|API docs: \S+", "", text.replace("%%", "%")).split())
    line = re.sub(r"(Parse human-readable|Should either be a valid JSON).*", "", line).strip()
    sentence = re.split(r"(?<=[a-z)`'\"\]])\.(?:\s|$)", line)[0]
    if len(sentence) <= HELP_LENGTH:
        return sentence
    return sentence[:HELP_LENGTH].rsplit(" ", 1)[0] + " ..."


if __name__ == "__main__":
    raise SystemExit(main())
