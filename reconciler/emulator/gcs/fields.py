"""Partial responses: the `fields` parameter, such as `items(name,size),nextPageToken` or `items/name`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from reconciler.emulator.gcs.errors import Json, invalid

_TOKENS = re.compile(r"[^,()/\s]+|[,()/]")


@dataclass(slots=True)
class _Mask:
    """Which names to keep, and what of each; a name without an entry below it is kept whole."""

    below: dict[str, _Mask] = field(default_factory=dict)


def partial(value: Json, fields: str) -> Json:
    """Return what `fields` selects of a response; 400 for a selector that cannot be read."""
    kept = _keep(value, _mask_of(fields))
    return kept if isinstance(kept, dict) else {}


def names_below(name: str, fields: str) -> frozenset[str]:
    """The fields that are selected of the field `name`; none where all of it is, or nothing is.

    400 for a selector that cannot be read.
    """
    below = _mask_of(fields).below if fields else {}
    inner = below.get(name)
    return frozenset(inner.below) if inner and "*" not in {*below, *inner.below} else frozenset()


def _mask_of(fields: str) -> _Mask:
    mask = _Mask()
    rest = _read_list(_TOKENS.findall(fields), mask, fields)
    if rest or not mask.below:
        raise _unreadable(fields)
    return mask


def _read_list(tokens: list[str], mask: _Mask, whole: str) -> list[str]:
    """Read selectors up to a closing bracket or the end into `mask`; return the tokens that are left."""
    while True:
        tokens = _read_one(tokens, mask, whole)
        if not tokens or tokens[0] != ",":
            return tokens
        tokens = tokens[1:]


def _read_one(tokens: list[str], mask: _Mask, whole: str) -> list[str]:
    if not tokens or tokens[0] in ",()/":
        raise _unreadable(whole)
    inner = mask.below.setdefault(tokens[0], _Mask())
    tokens = tokens[1:]
    if tokens and tokens[0] == "/":
        return _read_one(tokens[1:], inner, whole)
    if tokens and tokens[0] == "(":
        tokens = _read_list(tokens[1:], inner, whole)
        if not tokens or tokens[0] != ")":
            raise _unreadable(whole)
        return tokens[1:]
    return tokens


def _keep(value: object, mask: _Mask) -> object:
    if not mask.below:
        return value
    if isinstance(value, list):
        return [_keep(one, mask) for one in value]
    if not isinstance(value, dict):
        return value
    everything = mask.below.get("*")
    kept: Json = {}
    for name, one in value.items():
        inner = mask.below.get(name, everything)
        if inner is not None:
            kept[name] = _keep(one, inner)
    return kept


def _unreadable(fields: str) -> Exception:
    return invalid(f"Invalid field selection {fields}", "fields")
