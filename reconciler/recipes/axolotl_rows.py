"""The rows of an axolotl recipe: where they lie, what they look like, and what is held back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.core.resources import Json
from reconciler.recipes.carry import Left, Outcome, Put, number
from reconciler.recipes.rows import (
    ALPACA,
    TURNS,
    Place,
    Shape,
    asked_shape,
    chat_shape,
    file_place,
    formatted_shape,
    hub_place,
    shape_of_data,
)

_LOADERS = frozenset({"json", "csv", "parquet", "text"})
_PLACE = frozenset({"path", "name", "split", "data_files", "ds_type", "revision"})
_SHAPE = frozenset(
    {
        "type", "field", "field_messages", "message_property_mappings", "message_field_role", "message_field_content",
        "roles", "field_tools", "chat_template", "conversation", "input_format",
    }
)  # fmt: skip


def rows_of(recipe: Mapping[str, Json]) -> list[tuple[str, Outcome]]:
    """What becomes of the keys that name rows: `datasets`, `test_datasets`, `val_set_size`."""
    sets = recipe.get("datasets")
    listed = sets if isinstance(sets, Sequence) and not isinstance(sets, str) else []
    read = [_data_set(one if isinstance(one, Mapping) else {"path": one}) for one in listed]
    outcomes: list[Put | Left] = []
    mixed: list[Json] = []
    first: tuple[Place, Shape] | None = None
    for place, shape, parts in read:
        if place is not None and shape is not None and first is None:
            first = (place, shape)
            outcomes += (Put(f"data.{key}", value) for key, value in shape_of_data(place, shape).items())
            if shape.field not in ("", "text"):
                outcomes.append(Put("training.dataset_text_field", shape.field))
        elif place is not None and first is not None and shape == first[1]:
            mixed.append({"rows": place.uri})
        elif place is not None and first is None and len(listed) == 1:
            outcomes.append(Put("data.train", place.uri))
        elif place is not None:
            outcomes.append(Left(f"{place.uri}: its rows have another shape than the first ones; bring them into one"))
        outcomes += parts
    if mixed:
        outcomes.append(Put("data.mix", mixed))
    return [("datasets", tuple(outcomes)), *_held(recipe)]


def _held(recipe: Mapping[str, Json]) -> list[tuple[str, Outcome]]:
    tests, share = recipe.get("test_datasets"), number(recipe.get("val_set_size"))
    found: list[tuple[str, Outcome]] = []
    if isinstance(tests, Sequence) and not isinstance(tests, str) and tests and isinstance(tests[0], Mapping):
        place, _, parts = _data_set(tests[0])
        more = [Left(f"{len(tests) - 1} further sets: name one file, or a pattern")] if len(tests) > 1 else []
        eval_rows = [Put("data.eval", place.uri)] if place else []
        found.append(("test_datasets", (*eval_rows, *parts, *more)))
        share = None
    if isinstance(share, (int, float)) and share >= 1:
        found.append(("val_set_size", Left("a number of rows: give a fraction, such as 0.1, as data.eval_fraction")))
    elif isinstance(share, (int, float)) and share > 0:
        found.append(("val_set_size", Put("data.eval_fraction", share)))
    elif "val_set_size" in recipe:
        found.append(("val_set_size", Left("no rows are held back, as here")))
    return found


def _data_set(one: Mapping[str, Json]) -> tuple[Place | None, Shape | None, list[Put | Left]]:
    place, shape = _place(one), _shape(one)
    parts: list[Put | Left] = []
    if place is None:
        parts.append(Left(f"`{one.get('path')}` is no place that can be read: copy the rows here or into a bucket"))
    elif place.lost:
        parts.append(Left(place.lost))
    if isinstance(shape, Left):
        parts.append(shape)
    parts += [
        Left(f"`{key}`: axolotl's own way to choose what is learnt of a row")
        for key in one
        if key not in _PLACE and key not in _SHAPE and one[key] not in (None, False)
    ]
    return place, None if isinstance(shape, Left) else shape, parts


def _place(one: Mapping[str, Json]) -> Place | None:
    path, files = str(one.get("path") or ""), one.get("data_files")
    listed = [str(name) for name in files] if isinstance(files, list) else [str(files)] if files else []
    if path in _LOADERS and listed:
        found = file_place(listed[0])
        lost = f"the further files {', '.join(listed[1:])}: give them in `data.mix`" if listed[1:] else ""
        return Place(found.uri, lost or found.lost) if found else None
    config, split = str(one.get("name") or "default"), str(one.get("split") or "train")
    return file_place(path) or hub_place(path, config, split, listed)


def _shape(one: Mapping[str, Json]) -> Shape | Left:
    kind = one.get("type")
    if isinstance(kind, Mapping):
        return _own_prompt(kind)
    name = str(kind or "")
    if name == "alpaca":
        return Shape(template=ALPACA)
    if name.startswith(("alpaca:chat", "alpaca_chat")):
        return asked_shape("instruction", "input", "output")
    if name == "completion":
        return Shape(format="text", field=str(one.get("field") or "text"))
    if name.startswith(("chat_template", "sharegpt")):
        return _chat(one)
    return Left(f"`type: {kind}` is axolotl's own: bring the rows into one of data.format, or write data.template")


def _chat(one: Mapping[str, Json]) -> Shape:
    mapping = one.get("message_property_mappings")
    named = mapping if isinstance(mapping, Mapping) else {}
    roles = one.get("roles")
    turns = dict(TURNS)
    if isinstance(roles, Mapping):
        turns = {
            str(theirs): str(ours)
            for ours, listed in roles.items()
            for theirs in (listed if isinstance(listed, list) else [listed])
        }
    sharegpt = str(one.get("type")).startswith("sharegpt")
    return chat_shape(
        str(one.get("field_messages") or ("conversations" if sharegpt else "messages")),
        str(named.get("role") or one.get("message_field_role") or ("from" if sharegpt else "role")),
        str(named.get("content") or one.get("message_field_content") or ("value" if sharegpt else "content")),
        turns,
    )


def _own_prompt(kind: Mapping[str, Json]) -> Shape | Left:
    if not kind.get("format"):
        return Left("a type of its own without `format`: write data.template")
    fields = {name: str(kind.get(f"field_{name}") or name) for name in ("instruction", "input", "output", "system")}
    return formatted_shape(
        str(kind["format"]), str(kind.get("no_input_format") or ""), fields, str(kind.get("system_prompt") or "")
    )
