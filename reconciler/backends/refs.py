"""Filling in what was not known when the desired resource was written: `Ref`s become outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from reconciler.core.errors import LoraformError
from reconciler.core.resources import Address, Json, Ref, Value


def resolved(value: Value, outputs: Mapping[Address, Mapping[str, Json]]) -> Json:
    """`value` with every `Ref` replaced by the output that it names.

    Raises LoraformError for an output that is not there: the planner orders a create after what it refers to.
    """
    if isinstance(value, Ref):
        known = outputs.get(value.address, {})
        if value.output not in known:
            raise LoraformError(f"{value.address} has no output {value.output!r} yet: it is not ready")
        return known[value.output]
    if isinstance(value, Mapping):
        return {key: resolved(item, outputs) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [resolved(item, outputs) for item in value]
    return cast(Json, value)
