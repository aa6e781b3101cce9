"""The rows of a LLaMA-Factory recipe: names of data sets, each described by an entry of `dataset_info.json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconciler.core.resources import Json
from reconciler.recipes.carry import Left, Outcome, Put, number
from reconciler.recipes.rows import Place, Shape, asked_shape, chat_shape, file_place, hub_place, shape_of_data

Info = Callable[[str], Mapping[str, Json] | None]


def rows_of(recipe: Mapping[str, Json], info: Info) -> list[tuple[str, Outcome]]:
    """What becomes of `dataset`, `eval_dataset`, `val_size`, `max_samples` and how data sets are mixed."""
    outcomes: list[Put | Left] = []
    mixed: list[Json] = []
    first: tuple[Place, Shape] | None = None
    for name in _names(recipe.get("dataset")):
        place, shape, parts = _data_set(name, recipe, info)
        outcomes += parts
        if place is None or shape is None:
            continue
        if first is None:
            first = (place, shape)
            outcomes += (Put(f"data.{key}", value) for key, value in shape_of_data(place, shape).items())
        elif shape == first[1]:
            mixed.append({"rows": place.uri})
        else:
            outcomes.append(Left(f"{name}: its rows have another shape than the first ones; bring them into one"))
    if mixed:
        outcomes.append(Put("data.mix", mixed))
    found: list[tuple[str, Outcome]] = [("dataset", tuple(outcomes))]
    if "dataset_dir" in recipe:
        found.append(("dataset_dir", Left("where `dataset_info.json` was looked for")))
    return [*found, *_held(recipe, info), *_sizes(recipe)]


def _names(value: Json) -> list[str]:
    listed = value if isinstance(value, list) else str(value or "").split(",")
    return [str(name).strip() for name in listed if str(name).strip()]


def _held(recipe: Mapping[str, Json], info: Info) -> list[tuple[str, Outcome]]:
    names, share = _names(recipe.get("eval_dataset")), number(recipe.get("val_size"))
    found: list[tuple[str, Outcome]] = []
    if names:
        place, _, parts = _data_set(names[0], recipe, info)
        rows = [Put("data.eval", place.uri)] if place else []
        more = [Left(f"{', '.join(names[1:])}: name one file, or a pattern")] if names[1:] else []
        found.append(("eval_dataset", (*rows, *parts, *more)))
    if isinstance(share, (int, float)) and share >= 1:
        found.append(("val_size", Left("a number of rows: give a fraction, such as 0.1, as data.eval_fraction")))
    elif isinstance(share, (int, float)) and share > 0 and not names:
        found.append(("val_size", Put("data.eval_fraction", share)))
    elif "val_size" in recipe:
        found.append(("val_size", Left("no rows are held back, as here")))
    return found


def _sizes(recipe: Mapping[str, Json]) -> list[tuple[str, Outcome]]:
    found: list[tuple[str, Outcome]] = []
    most = number(recipe.get("max_samples"))
    if isinstance(most, int):
        several = len(_names(recipe.get("dataset"))) > 1
        said = "of all data sets together, not of each" if several else ""
        found.append(("max_samples", Put("data.max_rows", most, said)))
    for key in ("mix_strategy", "interleave_probs"):
        if recipe.get(key) not in (None, "concat"):
            found.append((key, Left("give weights in `data.mix`")))
        elif key in recipe:
            found.append((key, Left("one after the other, as here")))
    return found


def _data_set(name: str, recipe: Mapping[str, Json], info: Info) -> tuple[Place | None, Shape | None, list[Put | Left]]:
    entry = info(name)
    if entry is None:
        place = hub_place(name)
        if place is not None:
            return place, _shape({}), []
        return None, None, [Left(f"`{name}` stands in no dataset_info.json here: name its rows as data.train")]
    place = _place(entry, recipe)
    parts: list[Put | Left] = []
    if place is None:
        parts.append(Left(f"`{name}` lies nowhere that can be read: copy its rows here or into a bucket"))
    elif place.lost:
        parts.append(Left(place.lost))
    if entry.get("ranking"):
        parts.append(Left(f"`{name}` holds preferences, which supervised fine-tuning does not learn from"))
        return None, None, parts
    if entry.get("num_samples"):
        parts.append(Left(f"`num_samples` of `{name}`: give data.max_rows"))
    return place, _shape(entry), parts


def _place(entry: Mapping[str, Json], recipe: Mapping[str, Json]) -> Place | None:
    if entry.get("hf_hub_url"):
        files = [f"{entry['folder']}/*"] if entry.get("folder") else []
        return hub_place(
            str(entry["hf_hub_url"]), str(entry.get("subset") or "default"), str(entry.get("split") or "train"), files
        )
    if entry.get("cloud_file_name"):
        return file_place(str(entry["cloud_file_name"]))
    if entry.get("file_name"):
        folder = str(recipe.get("dataset_dir") or "data").rstrip("/")
        return file_place(f"{folder}/{entry['file_name']}")
    return None


def _shape(entry: Mapping[str, Json]) -> Shape:
    columns, tags = entry.get("columns"), entry.get("tags")
    named: Mapping[str, Json] = columns if isinstance(columns, Mapping) else {}
    tagged: Mapping[str, Json] = tags if isinstance(tags, Mapping) else {}
    if entry.get("formatting") in ("sharegpt", "openai"):
        openai = entry.get("formatting") == "openai"
        roles = {
            str(tagged.get("user_tag") or ("user" if openai else "human")): "user",
            str(tagged.get("assistant_tag") or ("assistant" if openai else "gpt")): "assistant",
            str(tagged.get("system_tag") or "system"): "system",
            str(tagged.get("observation_tag") or ("tool" if openai else "observation")): "tool",
        }
        return chat_shape(
            str(named.get("messages") or "conversations"),
            str(tagged.get("role_tag") or ("role" if openai else "from")),
            str(tagged.get("content_tag") or ("content" if openai else "value")),
            roles,
            str(named.get("system") or ""),
        )
    return asked_shape(
        str(named.get("prompt") or "instruction"),
        str(named.get("query") or "input"),
        str(named.get("response") or "output"),
        str(named.get("system") or ""),
    )
