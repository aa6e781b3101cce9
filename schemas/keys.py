"""The keys of foreign vocabularies: peft, transformers, trl and vLLM, as one generated table (`keys.json`).

A block of such keys is a `Keys`: a mapping of only what the manifest gives, checked key by key against the table.
This module reads the table; `generate.py` writes it from the installed libraries.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from schemas.effects import DeclaredField, Effect, Json, Leaves

TABLE = Path(__file__).with_name("keys.json")
OURS = "set by Loraform"


class Key(NamedTuple):
    """One row: the type in the table's small language (see `core_of`), default, effect, and one line of help."""

    type: str
    default: Json
    effect: str
    """A word of `Effect`, or `set by Loraform`: such a key is not the user's to write."""
    help: str = ""
    choices: tuple[Json, ...] = ()
    selects: bool = False
    """It decides which checkpoint is kept as the best one, so it changes the result where one is chosen."""
    moved: bool = False
    """The library has another default by now. The published one holds, so it is always said to the library."""


class Block(NamedTuple):
    """The keys of one block and whose they are."""

    library: str
    """The class with its library and version, as `peft 0.21.2 LoraConfig`."""
    keys: Mapping[str, Key]


@cache
def table() -> Mapping[str, Block]:
    """The blocks of the committed table: adapter, quantization, training, engine, generation."""
    raw = json.loads(TABLE.read_bytes())
    return {
        name: Block(
            block["library"],
            {
                key: Key(
                    row["type"],
                    row["default"],
                    row["effect"],
                    row.get("help", ""),
                    tuple(row.get("choices", ())),
                    row.get("selects", False),
                    "library_default" in row,
                )
                for key, row in block["keys"].items()
            },
        )
        for name, block in raw["blocks"].items()
    }


class Keys(Mapping[str, Json], Leaves):
    """The keys of one foreign block that a manifest gives. Reading a key that is not given is a KeyError."""

    __slots__ = ("given",)
    block: ClassVar[str] = ""
    """The name of the block in the table."""
    own: ClassVar[Mapping[str, tuple[CoreSchema, Key]]] = {}
    """Keys of the same block that are Loraform's: read as attributes, not as items."""

    def __init__(self, given: Mapping[str, Json] | None = None) -> None:
        self.given: dict[str, Json] = {**_moved(self.block), **(given or {})}

    def __getitem__(self, key: str) -> Json:
        return self.given[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.given)

    def __len__(self) -> int:
        return len(self.given)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.given!r})"

    def effective(self, key: str) -> Json:
        """What the key means here: the given value, or its default. KeyError for a key that the table lacks."""
        return self.given[key] if key in self.given else table()[self.block].keys[key].default

    def leaves(self) -> Mapping[str, DeclaredField]:
        """The given keys with their defaults and effects."""
        rows = _effects_of(self.block)
        return {key: DeclaredField(value, *rows[key]) for key, value in self.given.items()}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A dictionary of the table's keys, all optional, none else."""
        fields = {
            key: core_schema.typed_dict_field(core_of(row), required=False)
            for key, row in table()[cls.block].keys.items()
            if row.effect != OURS
        }
        fields |= {key: core_schema.typed_dict_field(own, required=False) for key, (own, _) in cls.own.items()}
        keys = core_schema.typed_dict_schema(fields, extra_behavior="forbid", strict=True)
        return core_schema.no_info_after_validator_function(cls, keys)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The JSON Schema of the block, with descriptions and defaults for editors."""
        block = table()[cls.block]
        rows = {key: row for key, row in block.keys.items() if row.effect != OURS}
        rows |= {key: row for key, (_, row) in cls.own.items()}
        return {
            "type": "object",
            "description": f"Keys of {block.library}.",
            "properties": {key: json_schema_of(rows[key]) for key in sorted(rows)},
            "additionalProperties": False,
        }


@cache
def _effects_of(block: str) -> Mapping[str, tuple[Json, Effect]]:
    """Default and effect of the keys that a manifest may give."""
    return {key: (row.default, Effect(row.effect)) for key, row in table()[block].keys.items() if row.effect != OURS}


@cache
def _moved(block: str) -> Mapping[str, Json]:
    return moved_defaults(table()[block]) if block else {}


def moved_defaults(block: Block) -> dict[str, Json]:
    """The keys whose published default the library has left, with that default.

    They count as given everywhere: a manifest means the same under every version of the library. Being at their
    default, they are in no identity.
    """
    return {key: row.default for key, row in block.keys.items() if row.moved and row.effect != OURS}


def core_of(row: Key) -> CoreSchema:
    """The validator of one row.

    The type language: `int float str bool null any map`, `list[T]`, `map[T]`, and alternatives with `|`.
    `choices` narrows the scalar alternatives of a row to the values that the library takes.
    """
    return _core(row.type, row.choices)


_SCALARS: Mapping[str, CoreSchema] = {
    "int": core_schema.int_schema(strict=True),
    "float": core_schema.float_schema(strict=True),
    "str": core_schema.str_schema(strict=True),
    "bool": core_schema.bool_schema(strict=True),
    "null": core_schema.none_schema(),
    "any": core_schema.any_schema(),
    "map": core_schema.dict_schema(core_schema.str_schema(strict=True), core_schema.any_schema(), strict=True),
}


def _core(text: str, choices: tuple[Json, ...]) -> CoreSchema:
    parts = _alternatives(text)
    if len(parts) > 1:
        inner = [_core(part, _of_type(part, choices)) for part in parts if part != "null"]
        one = inner[0] if len(inner) == 1 else core_schema.union_schema([*inner])
        return core_schema.nullable_schema(one) if "null" in parts else one
    if text.startswith("list["):
        return core_schema.list_schema(_core(text[5:-1], choices), strict=True)
    if text.startswith("map["):
        return core_schema.dict_schema(core_schema.str_schema(strict=True), _core(text[4:-1], ()), strict=True)
    return core_schema.literal_schema(list(choices)) if choices else _SCALARS[text]


def _of_type(part: str, choices: tuple[Json, ...]) -> tuple[Json, ...]:
    kind = {"str": str, "int": int}.get(part.removeprefix("list[").removesuffix("]"))
    return tuple(choice for choice in choices if kind is not None and isinstance(choice, kind))


def _alternatives(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char == "[") - (char == "]")
        if char == "|" and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


_JSON_TYPES = {"int": "integer", "float": "number", "str": "string", "bool": "boolean", "null": "null", "map": "object"}


def json_schema_of(row: Key) -> dict[str, Any]:
    """The JSON Schema of one row, its description ending with what a change of it brings about."""
    schema = _json(row.type, row.choices)
    help_text = f"{row.help} " if row.help else ""
    return {**schema, "description": f"{help_text}[{row.effect}]", "default": row.default}


def _json(text: str, choices: tuple[Json, ...]) -> dict[str, Any]:
    parts = _alternatives(text)
    if len(parts) > 1:
        schemas = [_json(part, _of_type(part, choices)) for part in parts]
        if all(set(schema) == {"type"} for schema in schemas):
            return {"type": [schema["type"] for schema in schemas]}
        return {"anyOf": schemas}
    if text.startswith("list["):
        return {"type": "array", "items": _json(text[5:-1], choices)}
    if text.startswith("map["):
        return {"type": "object", "additionalProperties": _json(text[4:-1], ())}
    if choices:
        return {"enum": list(choices)}
    return {} if text == "any" else {"type": _JSON_TYPES[text]}
