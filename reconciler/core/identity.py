"""Identity: a hash of what forces a new object, together with its parents' identities.

It is a function of git alone. What goes in is decided by the effects that `schemas/` declares; this module only
says how a set of fields becomes 64 hex digits, and golden tests pin that for good.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from reconciler.core.resources import Json

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

_AS_THEY_ARE = (str, int, bool, type(None))


def canonical(value: Json) -> str:
    """One text per JSON value: sorted keys, no spaces, UTF-8 kept, NaN and infinities refused (ValueError).

    A whole float is written as an integer, so that `3` and `3.0` in a manifest are the same training.
    """
    return _ENCODER.encode(_plain(value))


def identity_of(kind: str, fields: Mapping[str, Json], parents: Iterable[str] = ()) -> str:
    """The identity (64 hex digits, SHA-256) of an object of `kind` with these fields and parents' identities."""
    text = canonical({"kind": kind, "fields": fields, "parents": sorted(parents)})
    return hashlib.sha256(text.encode()).hexdigest()


def deployed_id(endpoint: str, identity: str) -> str:
    """The ten-digit id of a deployed model: a second deploy of the same identity collides instead of doubling."""
    number = int(hashlib.sha256(f"{endpoint}\n{identity}".encode()).hexdigest(), 16)
    return str(10**9 + number % (9 * 10**9))


def _plain(value: Json) -> Json:
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
