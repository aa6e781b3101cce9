"""The vocabulary around a key: which block has it, which keys a block has, and how values are said to a person."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from schemas.keys import OURS, Key, Keys, table

Path = tuple[str | int, ...]
NEAR = 0.6
"""How alike two words must be (difflib's ratio) for one to be suggested for the other."""


def part_of(model: type[BaseModel], path: Sequence[str | int]) -> type | None:
    """The class of the block at a path: a pydantic model, a `Keys`, or None where there is no such block."""
    part: type | None = model
    for step in path:
        if part is None or not issubclass(part, BaseModel):
            return None
        part = _parts_of(part).get(str(step))
    return part


def keys_of(owner: type | None) -> list[str]:
    """The keys that a person may write in a block."""
    if owner is None:
        return []
    if issubclass(owner, Keys):
        rows = table()[owner.block].keys
        return sorted([*(key for key, row in rows.items() if row.effect != OURS), *owner.own])
    return [item.alias or name for name, item in owner.model_fields.items()] if issubclass(owner, BaseModel) else []


def exists(model: type[BaseModel], path: str) -> bool:
    """True when a manifest of this kind may have the dotted path."""
    block, _, key = path.rpartition(".")
    return key in keys_of(part_of(model, block.split(".") if block else ()))


@cache
def homes(model: type[BaseModel]) -> Mapping[str, tuple[str, ...]]:
    """Every key of the manifest with the blocks that have it."""
    found: dict[str, list[str]] = {}
    todo: list[tuple[str, type]] = [("", model)]
    while todo:
        block, owner = todo.pop(0)
        for key in keys_of(owner):
            found.setdefault(key, []).append(block)
        if issubclass(owner, BaseModel):
            parts = ((key, part) for key, part in _parts_of(owner).items() if part is not None)
            todo += [(f"{block}.{key}" if block else key, part) for key, part in parts]
    return {key: tuple(blocks) for key, blocks in found.items()}


def row_of(path: Path, model: type[BaseModel]) -> tuple[Key, int] | None:
    """The row of the table that a path lies in, and how many steps lead to it."""
    for depth in range(1, len(path)):
        owner = part_of(model, path[:depth])
        if owner is not None and issubclass(owner, Keys):
            name = str(path[depth])
            row = owner.own[name][1] if name in owner.own else table()[owner.block].keys.get(name)
            return (row, depth + 1) if row is not None else None
    return None


@cache
def _parts_of(model: type[BaseModel]) -> Mapping[str, type | None]:
    return {item.alias or name: _block(item.annotation) for name, item in model.model_fields.items()}


def _block(annotation: Any) -> type | None:
    if isinstance(annotation, type) and issubclass(annotation, (BaseModel, Keys)):
        return annotation
    return next((found for part in get_args(annotation) if (found := _block(part)) is not None), None)


def nearest(word: str, choices: Sequence[str]) -> list[str]:
    """Up to two choices that were probably meant: those that have all parts of the word, else those spelt alike."""
    parts = set(re.split(r"[^a-z0-9]+", word.lower()))
    whole = [choice for choice in choices if parts and parts <= set(re.split(r"[^a-z0-9]+", choice.lower()))]
    if whole:
        return whole[:2]
    lower = {choice.lower(): choice for choice in choices}
    return [lower[found] for found in get_close_matches(word.lower(), lower, 1, NEAR)]


def described(value: Any) -> str:
    """What a value is, as a person would say it."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f'the text "{shown(value)}"' if value.isprintable() else f"the text {shown(value)}"
    return "a list" if isinstance(value, (list, tuple)) else "a mapping"


def shown(value: Any) -> str:
    """A value as it would stand in a manifest, cut at 60 characters."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        text = f"[{', '.join(shown(item) for item in value)}]"
    else:
        text = repr(value) if isinstance(value, str) and (value == "" or not value.isprintable()) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def dotted(path: Sequence[str | int]) -> str:
    """`("evaluation", "gate", 0)` as `evaluation.gate[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")
