"""What differs, and what each difference brings about. `==` decides; deepdiff only explains a pair that differs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import cast

from reconciler.core.changes import FieldChange
from reconciler.core.identity import canonical
from reconciler.core.resources import Json, LiveResource, Resource

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_EXACT = (str, bool, int)
"""Types of which two values are the same JSON if, and only if, they are equal."""


def setting_changes(resource: Resource, live: LiveResource) -> tuple[FieldChange, ...]:
    """The settings in which the live object is not as desired, by path.

    Only settings that the live object shows are compared. Of a mapping only the desired keys count: other tools'
    labels are not ours to judge.
    """
    wanted, found = resource.spec, live.spec
    differing = [key for key in wanted if key in found and not _satisfied(wanted[key], found[key])]
    return tuple(
        [
            FieldChange(_path(resource, key), found[key], wanted[key], _effect(resource, key))
            for key in sorted(differing)
        ]
    )


def declared_changes(resource: Resource, declared: Mapping[str, Json]) -> tuple[FieldChange, ...]:
    """How the manifest fields behind `resource` differ from those declared when an older object was written."""
    changes: list[FieldChange] = []
    for path in sorted(resource.fields.keys() | declared.keys()):
        field = resource.fields.get(path)
        before, after = declared.get(path, field.default if field else None), field.value if field else None
        if canonical(before) != canonical(after):
            effect = field.effect if field else ""
            changes.extend(FieldChange(*pair, effect) for pair in explain(path, before, after))
    return tuple(changes)


def explain(path: str, before: Json, after: Json) -> Iterator[tuple[str, Json, Json]]:
    """Split a pair that differs into the smallest differing parts: (path, before, after), sorted by path."""
    if not _both_containers(before, after):
        yield path, before, after
        return
    from deepdiff import DeepDiff  # a third of a second, and most plans have nothing to explain

    found = DeepDiff(before, after, view="tree", verbose_level=2)
    parts = {
        path + "".join(map(_step, level.path(output_format="list"))): (level.t1, level.t2)
        for group in found.values()
        for level in group
    }
    for part in sorted(parts):
        old, new = (None if _absent(value) else value for value in parts[part])
        yield part, cast(Json, old), cast(Json, new)


def _step(key: str | int) -> str:
    """A step into a container as a manifest's reader writes it: `[0]`, `.expr`, `['an odd key']`."""
    if isinstance(key, int):
        return f"[{key}]"
    return f".{key}" if _PLAIN.fullmatch(key) else f"[{key!r}]"


def _both_containers(before: Json, after: Json) -> bool:
    return (isinstance(before, Mapping) and isinstance(after, Mapping)) or (
        isinstance(before, list) and isinstance(after, list)
    )


def _absent(value: object) -> bool:
    return type(value).__name__ == "NotPresent"


def _satisfied(wanted: Json, found: Json) -> bool:
    if type(wanted) is type(found) and isinstance(wanted, _EXACT):
        return wanted == found
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return all(key in found and _satisfied(wanted[key], found[key]) for key in wanted)
    return canonical(wanted) == canonical(found)


def _path(resource: Resource, key: str) -> str:
    """The manifest's own path of a setting, where the manifest has one."""
    return next((path for path in sorted(resource.fields) if path == key or path.endswith(f".{key}")), key)


def _effect(resource: Resource, key: str) -> str:
    field = resource.fields.get(_path(resource, key))
    return field.effect if field else "route" if key == "traffic" else "in_place"
