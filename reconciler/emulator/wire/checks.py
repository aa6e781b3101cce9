"""Rules that several resources share: labels, display names, ids, masks. Error texts follow the service's own."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from google.protobuf.message import Message as ProtoMessage

from reconciler.emulator.wire.codec import Message, full_name, snake
from reconciler.emulator.wire.errors import ApiError, Violation, invalid

_LABEL_RULE = (
    "There can be no more than 64 labels attached to a single resource. Label keys and values can only contain "
    "lowercase letters, numbers, dashes and underscores. Label keys must start with a letter or number, must be less "
    "than 64 characters in length, and must be less that 128 bytes in length when encoded in UTF-8. Label values must "
    "be less than 64 characters in length, and must be less that 128 bytes in length when encoded in UTF-8."
)
_SEGMENT = re.compile(r"[^\W_]|[-_]")


def check_labels(labels: Mapping[str, str], field: str) -> None:
    """Raises INVALID_ARGUMENT with the service's own text; `field` is such as `endpoint.labels`."""
    fine = len(labels) <= 64 and all(
        _label(key) and _label(value) and key and (key[0].isalnum()) for key, value in labels.items()
    )
    if not fine:
        text = f"List of found errors:\t1.Field: {field}; Message: {_LABEL_RULE}\t"
        raise ApiError("INVALID_ARGUMENT", text, (Violation(field, _LABEL_RULE),))


def check_display_name(name: str, field: str) -> None:
    """Required, at most 128 characters."""
    if not name:
        raise required(field)
    if len(name) > 128:
        raise invalid(field, f"{field}: the display name must be at most 128 characters long.")


def required(field: str) -> ApiError:
    """The error for a required field that is missing."""
    return invalid(field, f"Required field is not set: {field}.")


def check_split(split: Mapping[str, int], ids: Collection[str]) -> None:
    """A traffic split is empty, or sums to 100 over deployed ids."""
    for key, share in split.items():
        if key not in ids:
            raise invalid("traffic_split", f"The traffic split names DeployedModel {key}, which is not deployed here.")
        if not 0 <= share <= 100:
            raise invalid("traffic_split", f"The traffic of DeployedModel {key} must be between 0 and 100.")
    if split and sum(split.values()) != 100:
        raise invalid("traffic_split", f"The traffic split must sum to 100, not {sum(split.values())}.")


def masked_paths(mask: Message, target: Message, allowed: Collection[str], field: str) -> list[str]:
    """The paths of an update mask in snake_case, checked. An empty mask, or `*`, means every allowed field that is set.

    Raises INVALID_ARGUMENT for a path that does not exist or must not be updated.
    """
    paths = [snake(path).removeprefix(f"{field}.") for path in mask.paths]
    if not paths or paths == ["*"]:
        return [name for name in sorted(allowed) if name in {found.name for found, _ in target.ListFields()}]
    for path in paths:
        if path.split(".")[0] not in allowed:
            raise invalid(
                "update_mask",
                f"Field {path} of {full_name(target).rsplit('.', 1)[-1]} cannot be updated. "
                f"Updatable fields: {', '.join(sorted(allowed))}.",
            )
    return paths


def copy_field(source: Message, target: Message, path: str) -> None:
    """Replace one field (`labels`, `dedicated_resources.min_replica_count`, `labels.team`) by the source's value."""
    head, _, rest = path.partition(".")
    descriptor = target.DESCRIPTOR.fields_by_name.get(head)
    if descriptor is None:
        raise invalid("update_mask", f"Unknown field {path}.")
    value, present = getattr(source, head), getattr(target, head)
    if rest and isinstance(present, ProtoMessage):
        copy_field(value, present, rest)
    elif rest and hasattr(present, "items"):
        if rest in value:
            present[rest] = value[rest]
        else:
            present.pop(rest, None)
    elif descriptor.message_type is None and not hasattr(present, "extend"):
        setattr(target, head, value)
    else:
        target.ClearField(head)
        filled = getattr(target, head)
        if hasattr(filled, "MergeFrom") and (not descriptor.has_presence or source.HasField(head)):
            filled.MergeFrom(value)


def _label(text: str) -> bool:
    plain = text == text.lower() and all(_SEGMENT.fullmatch(letter) for letter in text)
    return plain and len(text) < 64 and len(text.encode()) < 128
