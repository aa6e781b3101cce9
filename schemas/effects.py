"""What a change of a manifest field brings about: one declaration per field, beside the field.

`declared_fields` flattens a manifest into its leaves with their effects. Identity, what forces a replacement, and the
reason that a plan prints are all computed from it. This module decides nothing about any single field.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple, TypeAlias, Union, cast

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

Json: TypeAlias = Union[bool, int, float, str, list["Json"], dict[str, "Json"], None]


class Effect(StrEnum):
    """What happens when the value of a field changes in git, the costliest first."""

    RETRAIN = "retrain"
    """Another training identity: a new run."""
    EVALUATE = "evaluate"
    """The trained model is scored and judged again."""
    VERSION = "version"
    """A new model version is registered, then rolled."""
    ROLL = "roll"
    """A new deployment takes over from the old one."""
    IN_PLACE = "in place"
    """The live object is changed without interruption."""
    ROUTE = "route"
    """Requests are sent elsewhere; nothing is started or stopped."""
    RUN = "run"
    """Where and how the next run is carried out: never a new run by itself, but another try of a failed one."""
    LABEL = "label"
    """A label of the live objects."""
    NOTHING = "nothing"


class DeclaredField(NamedTuple):
    """A leaf that a manifest gives: its JSON value, what leaving it out would mean, and its effect."""

    value: Json
    default: Json
    effect: Effect

    @property
    def at_default(self) -> bool:
        """True when leaving the field out would mean the same: such a field is in no identity."""
        return self.value == self.default and isinstance(self.value, bool) == isinstance(self.default, bool)


class Leaves(ABC):
    """A block that is no pydantic model and names its own leaves."""

    __slots__ = ()

    @abstractmethod
    def leaves(self) -> Mapping[str, DeclaredField]:
        """The keys that the manifest gives, by name."""

    def derived_fields(self, leaves: Mapping[str, DeclaredField]) -> Mapping[str, DeclaredField]:
        """Nothing: only whole manifests derive fields."""
        return {}


class Manifest(BaseModel):
    """What a whole file declares; the base of Experiment, Endpoint and Project."""

    def derived_fields(self, leaves: Mapping[str, DeclaredField]) -> Mapping[str, DeclaredField]:
        """Leaves that follow from several fields, and leaves whose default or effect depends on another field."""
        return {}


def declared_fields(manifest: Manifest) -> Mapping[str, DeclaredField]:
    """The leaves that `manifest` gives, by dotted path (`adapter.r`, `serving.engine.max_model_len`), sorted.

    Lists, and maps with the user's own keys (labels, env), are leaves. Fields that the manifest leaves out are
    absent. An experiment derives `training.effective_batch` (world size x per-device batch x accumulation).
    """
    leaves: dict[str, DeclaredField] = {}
    _leaves(manifest, "", None, leaves)
    leaves.update(manifest.derived_fields(leaves))
    return {path: leaves[path] for path in sorted(leaves)}


def plain(value: Any) -> Json:
    """The JSON form of a validated value, with only what was given: models become objects, tuples lists."""
    if type(value) in _SCALARS:
        return cast("Json", value)
    if isinstance(value, BaseModel):
        given = value.model_fields_set
        return {slot.path: plain(getattr(value, slot.name)) for slot in _slots(type(value)) if slot.name in given}
    if isinstance(value, Leaves):
        return {key: leaf.value for key, leaf in value.leaves().items()}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON form")


def effect_of(field: FieldInfo) -> Effect | None:
    """The effect that is declared beside a field, or None where its parts declare their own."""
    return next((item for item in field.metadata if isinstance(item, Effect)), None)


_SCALARS = (str, int, float, bool, type(None))


class _Slot(NamedTuple):
    name: str
    path: str
    default: Json
    effect: Effect | None


@cache
def _slots(model: type[BaseModel]) -> tuple[_Slot, ...]:
    return tuple(
        _Slot(name, field.alias or name, _default(field), effect_of(field))
        for name, field in model.model_fields.items()
    )


def _default(field: FieldInfo) -> Json:
    default = field.get_default(call_default_factory=True, validated_data={})
    return None if default is PydanticUndefined else plain(default)


def _leaves(block: BaseModel, prefix: str, inherited: Effect | None, found: dict[str, DeclaredField]) -> None:
    given = block.model_fields_set
    for name, slot_path, default, own in _slots(type(block)):
        if name not in given:
            continue
        value = getattr(block, name)
        path = prefix + slot_path
        if isinstance(value, BaseModel):
            _leaves(value, f"{path}.", own or inherited, found)
        elif isinstance(value, Leaves):
            for key, leaf in value.leaves().items():
                found[f"{path}.{key}"] = leaf
        else:
            found[path] = DeclaredField(plain(value), default, own or inherited or Effect.NOTHING)
