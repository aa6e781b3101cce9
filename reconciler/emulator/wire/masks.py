"""Read masks: a message with only the fields that a mask names. Decides nothing about which masks a list takes.

A path may go into a message, a map or a `Struct`; what is not set stays out.
"""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import Message as ProtoMessage

from reconciler.emulator.wire.codec import Message, camel, new
from reconciler.emulator.wire.errors import invalid


def check_mask(paths: Iterable[str], kind: str) -> list[str]:
    """The paths of a read mask over messages of type `kind`; empty for everything. Raises INVALID_ARGUMENT."""
    wanted = [path for path in paths if path]
    if "*" in wanted:
        return []
    for path in wanted:
        _pick(new(kind), new(kind), path.split("."), path)
    return wanted


def masked(whole: Message, paths: Iterable[str]) -> Message:
    """What `paths` name of a message, in a new one."""
    part = type(whole)()
    for path in paths:
        _pick(whole, part, path.split("."), path)
    return part


def _pick(whole: Message, part: Message, names: list[str], path: str) -> None:
    head, *rest = names
    field = whole.DESCRIPTOR.fields_by_name.get(head)
    if field is None:
        raise invalid("read_mask", f"Unknown field {path} in the read mask.")
    inner = field.message_type
    if not rest:
        _copy(whole, part, head)
    elif inner is not None and inner.GetOptions().map_entry:
        _pick_key(getattr(whole, head), getattr(part, head), ".".join(rest))
    elif inner is None or field.is_repeated:
        raise invalid("read_mask", f"The read mask {path} goes into {head}, which has no fields of its own.")
    elif inner.full_name == "google.protobuf.Struct":
        if whole.HasField(head):
            _pick_json(getattr(whole, head), getattr(part, head), rest)
    elif whole.HasField(head):
        _pick(getattr(whole, head), getattr(part, head), rest, path)
    else:
        _pick(new(inner.full_name), new(inner.full_name), rest, path)  # only to refuse what is unknown


def _copy(whole: Message, part: Message, name: str) -> None:
    one = type(whole)()
    one.CopyFrom(whole)
    for field, _ in one.ListFields():
        if field.name != name:
            one.ClearField(field.name)
    part.ClearField(name)
    part.MergeFrom(one)


def _pick_key(whole: Message, part: Message, key: str) -> None:
    if key not in whole:
        return
    if isinstance(whole[key], ProtoMessage):
        part[key].CopyFrom(whole[key])
    else:
        part[key] = whole[key]


def _pick_json(whole: Message, part: Message, names: list[str]) -> None:
    """A `Struct` holds JSON: its names are taken as they are, and in camelCase, as masks in snake_case mean them."""
    head, *rest = names
    key = next((one for one in (head, camel(head)) if one in whole.fields), None)
    if key is None:
        return
    value = whole.fields[key]
    if rest and value.HasField("struct_value"):
        part.fields[key].struct_value.SetInParent()
        _pick_json(value.struct_value, part.fields[key].struct_value, rest)
    elif not rest:
        part.fields[key].CopyFrom(value)
