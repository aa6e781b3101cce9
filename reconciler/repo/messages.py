"""Validation errors in the words of the person who wrote the manifest: the rule, what is wrong, and the way out.

pydantic says what it could not accept; this module knows the vocabulary around it - the nearest valid key, the block
that a key belongs to, today's name of a dropped one - and says nothing about where in a file it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from reconciler.repo.vocabulary import (
    NEAR,
    Path,
    described,
    dotted,
    exists,
    homes,
    keys_of,
    nearest,
    part_of,
    row_of,
    shown,
)
from schemas import dropped, methods, primitives
from schemas.keys import OURS, Key, Keys, table


class Message(NamedTuple):
    """One error: the path that it is about, whether the key or the value is at fault, and the words."""

    path: Path
    rule: str
    text: str
    remedy: str = ""
    at_key: bool = False


def explain(errors: Iterable[ErrorDetails], model: type[BaseModel]) -> Iterator[Message]:
    """One message per mistake: the several errors of one value that fits no alternative are one mistake."""
    seen: set[tuple[Path, str]] = set()
    errors = list(errors)
    places = {error["loc"] for error in errors}
    for error in errors:
        depth = len(error["loc"])
        if error["type"] == "too_short" and any(
            len(place) > depth and place[:depth] == error["loc"] for place in places
        ):
            continue
        message = _explained(error, model)
        if (message.path, message.rule) not in seen:
            seen.add((message.path, message.rule))
            yield message


def _explained(error: ErrorDetails, model: type[BaseModel]) -> Message:
    path: Path = tuple(step for step in error["loc"] if step != "[key]")
    if path != error["loc"]:
        return _own(path, error)._replace(at_key=True)
    if error["type"] == "extra_forbidden":
        return _unknown(path, error["input"], model)
    if error["type"] == "missing":
        return _missing(path, model)
    row = row_of(path, model)
    if row is not None:
        key, depth = row
        return _foreign(path[:depth], error, key)
    return _own(path, error)


def _unknown(path: Path, value: Any, model: type[BaseModel]) -> Message:
    name, block = str(path[-1]), dotted(path[:-1])
    where = f"`{block}`" if block else f"{_kind(model)} manifest"
    owner = part_of(model, path[:-1])
    if isinstance(owner, type) and issubclass(owner, Keys) and name in table()[owner.block].keys:
        return Message(path, "set-by-loraform", f"`{dotted(path)}` is {OURS}", _OURS.get(name, "Delete it."), True)
    text = f"unknown key `{name}` in {where}"
    valid = keys_of(owner)
    today = dropped.today(tuple(str(step) for step in path), value)
    if today is not None and (today.path == "" or exists(model, today.path)):
        return Message(path, "dropped-name", text, _today(today), True)
    places = [home for home in homes(model).get(name, ()) if home != block]
    near = get_close_matches(name, valid, 1, NEAR)
    if near and (not places or get_close_matches(name, valid, 1, 0.85)):
        return Message(path, "unknown-key", text, f"Did you mean `{near[0]}`?", True)
    if places:
        place = " or ".join(f"`{home}`" if home else "the top level" for home in places)
        return Message(path, "unknown-key", text, f"It belongs under {place}.", True)
    if isinstance(owner, type) and issubclass(owner, Keys):
        return Message(path, "unknown-key", text, f"Its keys are those of {table()[owner.block].library}.", True)
    few = f"Its keys are {', '.join(valid)}." if valid else ""
    return Message(path, "unknown-key", text, few, True)


_OURS: Mapping[str, str] = {
    "trust_remote_code": "Write it under `model`.",
    "chat_template_path": "Write `chat_template` under `model`.",
    "model_init_kwargs": "Write `attn_implementation` and the like under `model`.",
    "revision": "Write it under `model`.",
    "tokenizer": "Write it under `model`.",
    "hf_token": "Name the secret in `model.token_secret`.",
    "hub_token": "Name the secret in `model.token_secret`.",
    "enable_lora": "It follows from `serving.form`.",
    "max_lora_rank": "It follows from `adapter.r`, or from the capacity of a shared endpoint.",
    "max_loras": "It is the capacity of a shared endpoint.",
    "max_cpu_loras": "It is the capacity of a shared endpoint.",
    "use_cpu": "Delete it: the trainer uses what the machine has.",
}


def _today(today: dropped.Today) -> str:
    if not today.path:
        return f"Delete it: {today.note}."
    block, _, key = today.path.rpartition(".")
    written = f"`{key}: {shown(today.value)}`" if today.value is not None else f"`{key}`"
    note = f" ({today.note})" if today.note else ""
    return f"Today it is `{today.path}`: write {written}{f' under `{block}`' if block else ''}{note}."


def _missing(path: Path, model: type[BaseModel]) -> Message:
    owner = part_of(model, path[:-1])
    help_text = ""
    if isinstance(owner, type) and issubclass(owner, BaseModel):
        found = next((item for name, item in owner.model_fields.items() if (item.alias or name) == path[-1]), None)
        help_text = (found.description if found is not None else None) or ""
    return Message(path, "missing-key", f"`{dotted(path)}` is missing", help_text)


def _foreign(path: Path, error: ErrorDetails, key: Key) -> Message:
    """An error in a key of a foreign vocabulary: the table says what the key takes."""
    value = error["input"]
    takes = " or ".join(_in_words(part) for part in _parts(key.type) if part != "null") or "null"
    if path == ("adapter", "method") and methods.is_preference(value):
        text = f"`method: {value}` learns from preferences or rewards, and there is no such training here"
        return Message(path, "preference", text, methods.ELSEWHERE)
    if key.choices and isinstance(value, str):
        return _choice(path, value, [str(choice) for choice in key.choices])
    return Message(
        path, "type", f"`{dotted(path)}` takes {takes}; this is {described(value)}", _way_out(value, key.type)
    )


def _own(path: Path, error: ErrorDetails) -> Message:
    """An error in a key of ours."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    name = f"`{dotted(path)}`" if path else "the manifest"
    if kind in _TYPES:
        words, plain = _TYPES[kind]
        return Message(path, "type", f"{name} takes {words}; this is {described(value)}", _way_out(value, plain))
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        if choices:
            return _choice(path, value, choices)
        return Message(path, "value", f"{name} takes {context.get('expected')}; this is {shown(value)}")
    if kind == "string_pattern_mismatch":
        return _pattern(path, value, str(context.get("pattern", "")))
    if kind in _RANGES:
        bound = next(iter(context.values()), "")
        return Message(path, "range", f"{name} must be {_RANGES[kind].format(bound)}; this is {shown(value)}")
    if kind in ("string_too_short", "too_short"):
        return Message(path, "empty", f"{name} is empty")
    if kind == "string_too_long":
        return Message(path, "length", f"{name} is longer than {context.get('max_length')} characters")
    return Message(path, kind, error["msg"], _CUSTOM.get(kind, ""))


def _choice(path: Path, value: Any, choices: Sequence[str]) -> Message:
    """A word that is none of those that are allowed. Long lists are for the remedy, and only without a near word."""
    near = nearest(str(value), choices)
    remedy = f"Did you mean {' or '.join(f'`{word}`' for word in near)}?" if near else ""
    takes = f"one of {', '.join(choices)}" if len(choices) > 1 else f"`{choices[0]}`"
    if len(takes) > 100:
        takes = f"one of {len(choices)} words"
        remedy = remedy or f"They are {', '.join(choices)}."
    return Message(path, "value", f"`{dotted(path)}` takes {takes}; this is {described(value)}", remedy)


_CUSTOM: Mapping[str, str] = {
    "secret-in-env": "Put it into Secret Manager and name it in `model.token_secret`.",
    "own-label": "Choose another key.",
}

_TYPES: Mapping[str, tuple[str, str]] = {
    "int_type": ("a whole number", "int"),
    "int_from_float": ("a whole number", "int"),
    "float_type": ("a number", "float"),
    "bool_type": ("true or false", "bool"),
    "string_type": ("a text", "str"),
    "dict_type": ("a mapping", "map"),
    "model_type": ("a mapping", "map"),
    "model_attributes_type": ("a mapping", "map"),
    "list_type": ("a list", "list"),
    "tuple_type": ("a list", "list"),
}
_RANGES: Mapping[str, str] = {
    "greater_than_equal": "at least {}",
    "greater_than": "above {}",
    "less_than_equal": "at most {}",
    "less_than": "below {}",
}


def _pattern(path: Path, value: Any, pattern: str) -> Message:
    rule, words = primitives.PATTERNS.get(pattern, ("format", f"must match {pattern}"))
    remedy = ""
    if pattern == primitives.NAME:
        plain = re.sub(r"[^a-z0-9]+", "-", str(value).lower()).strip("-")[:40].strip("-")
        remedy = f"`{plain}` would do." if re.fullmatch(primitives.NAME, plain) else ""
    if pattern == primitives.FLEET:
        plain = re.sub(r"[^a-z0-9]+", "", str(value).lower()).lstrip("0123456789")[:18]
        remedy = f"`{plain}` would do." if plain else ""
    if path == ("name",):
        rule = "name"
    return Message(path, rule, f"`{dotted(path)}` {words}; this is {shown(value)}", remedy)


def _way_out(value: Any, wanted: str) -> str:
    if value is None:
        return "There is nothing after the colon: give a value, or delete the line."
    if isinstance(value, str) and "bool" in wanted and value.lower() in _YES | _NO:
        return f"YAML 1.2 knows true and false: write `{str(value.lower() in _YES).lower()}`."
    if (
        isinstance(value, str)
        and ("int" in wanted or "float" in wanted)
        and re.fullmatch(r"[-+]?[\d.]+(e-?\d+)?", value)
    ):
        return "Write it without quotes."
    if isinstance(value, (bool, int, float)) and "str" in wanted:
        return f'Put it in quotes: "{shown(value)}".'
    if isinstance(value, (str, int, float)) and wanted == "list":
        return f"Write it as a list: [{shown(value)}]."
    if isinstance(value, float) and wanted == "int" and value.is_integer():
        return f"Write {int(value)}."
    return ""


_YES = frozenset({"yes", "on", "y", "true"})
_NO = frozenset({"no", "off", "n", "false"})
_WORDS: Mapping[str, str] = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "null": "null",
    "map": "a mapping",
    "any": "any value",
}


def _parts(text: str) -> Sequence[str]:
    return re.sub(r"\[[^\]]*\]+", lambda match: match[0].replace("|", "/"), text).split("|")


def _in_words(part: str) -> str:
    if part.startswith("list["):
        return f"a list of {_plural(part[5:-1])}"
    return "a mapping" if part.startswith("map") else _WORDS[part]


def _plural(part: str) -> str:
    return {"int": "whole numbers", "float": "numbers", "str": "texts"}.get(part, "values")


def _kind(model: type[BaseModel]) -> str:
    name = model.__name__
    return f"an {name}" if name[0] in "AEIO" else f"a {name}"
