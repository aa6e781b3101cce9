"""Recipes of `trl sft --config`: its training keys are ours; model, adapter and data have other names."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.core.resources import Json
from reconciler.recipes.carry import Imported, Left, Outcome, Put, Rule, carried, left, number, table_of, to, unless_off
from reconciler.recipes.rows import Place, file_place, hub_place
from reconciler.recipes.transformers_keys import training_rules


def read_trl(recipe: Mapping[str, Json]) -> Imported:
    """The manifest of a recipe."""
    rules: dict[str, Rule] = {**training_rules(), **table_of(_LEFT), **_RULES}
    lora = bool(recipe.get("use_peft"))
    return carried(recipe, rules, (*_rows(recipe), *_method(recipe, lora)), _LORA_DEFAULTS if lora else ())


def _method(recipe: Mapping[str, Json], lora: bool) -> list[tuple[str, Outcome]]:
    four = bool(recipe.get("load_in_4bit"))
    said = "" if "use_peft" in recipe else "without `use_peft` trl trains all weights"
    outcomes: list[Put | Left] = [Put("adapter.method", ("qlora" if four else "lora") if lora else "full", said)]
    if not lora:
        outcomes += (Left(f"`{key}`: without `use_peft` it has no meaning") for key in _ADAPTER if key in recipe)
        outcomes += [Left("quantised weights cannot be trained without `use_peft`")] if four else []
    elif four:
        outcomes.append(Put("quantization.bnb_4bit_quant_type", recipe.get("bnb_4bit_quant_type", "nf4")))
        outcomes.append(Put("quantization.bnb_4bit_use_double_quant", bool(recipe.get("use_bnb_nested_quant"))))
        outcomes += (Put(f"quantization.{key}", recipe[key]) for key in ("bnb_4bit_quant_storage",) if recipe.get(key))
    elif recipe.get("load_in_8bit"):
        outcomes.append(Put("quantization.load_in_8bit", True))
    told = ("load_in_4bit", "load_in_8bit", "bnb_4bit_quant_type", "use_bnb_nested_quant", "bnb_4bit_quant_storage")
    absent = () if lora else _ADAPTER
    return [("use_peft", tuple(outcomes)), *((key, ()) for key in (*told, *absent) if key in recipe)]


def _rows(recipe: Mapping[str, Json]) -> list[tuple[str, Outcome]]:
    outcomes: list[Put | Left] = []
    mixture = recipe.get("datasets")
    places = [_of(one) for one in mixture if isinstance(one, Mapping)] if isinstance(mixture, list) else []
    if recipe.get("dataset_name"):
        config, split = (str(recipe.get(key) or other) for key, other in (
            ("dataset_config", "default"), ("dataset_train_split", "train"))
        )  # fmt: skip
        name = str(recipe["dataset_name"])
        places = [(file_place(name) or hub_place(name, config, split), 1.0)]
    for index, (place, weight) in enumerate(places):
        if place is None:
            outcomes.append(Left("its rows lie nowhere that can be read: copy them here or into a bucket"))
            continue
        outcomes += [Left(place.lost)] if place.lost else []
        if index == 0:
            outcomes.append(Put("data.train", place.uri))
            outcomes += [Left(f"the fraction {weight:g} of the first rows: give data.max_rows")] if weight != 1 else []
    mixed: list[Json] = [{"rows": place.uri, "weight": weight} for place, weight in places[1:] if place is not None]
    outcomes += [Put("data.mix", mixed)] if mixed else []
    outcomes.append(Left("the format is `messages`: for other rows set data.format")) if places else None
    key = "dataset_name" if recipe.get("dataset_name") else "datasets"
    found: list[tuple[str, Outcome]] = [(key, tuple(outcomes))]
    found += [(one, ()) for one in ("dataset_config", "dataset_train_split") if one in recipe]
    test, share = recipe.get("dataset_test_split"), number(recipe.get("test_split_size"))
    held = str(recipe.get("eval_strategy", "no")) != "no" and test and recipe.get("dataset_name")
    if held:
        place = hub_place(str(recipe["dataset_name"]), str(recipe.get("dataset_config") or "default"), str(test))
        found.append(("dataset_test_split", Put("data.eval", place.uri) if place else Left("its rows cannot be read")))
    elif test:
        found.append(("dataset_test_split", Left("nothing is evaluated: `eval_strategy` is off")))
    if isinstance(share, (int, float)) and 0 < share < 1:
        found.append(("test_split_size", Put("data.eval_fraction", share)))
    elif share is not None:
        found.append(("test_split_size", Left("a number of rows: give a fraction, such as 0.1, as data.eval_fraction")))
    return found


def _of(one: Mapping[str, Json]) -> tuple[Place | None, float]:
    path, files = str(one.get("path") or ""), one.get("data_files")
    listed = [str(name) for name in files] if isinstance(files, list) else [str(files)] if files else []
    weight = number(one.get("fraction", 1))
    place = (
        file_place(listed[0])
        if path in ("json", "csv", "parquet") and listed
        else file_place(path)
        or hub_place(path, str(one.get("name") or "default"), str(one.get("split") or "train"), listed)
    )
    return place, float(weight) if isinstance(weight, (int, float)) else 1.0


_ADAPTER: Mapping[str, Rule] = {
    "lora_r": to("adapter.r", number),
    "lora_alpha": to("adapter.lora_alpha", number),
    "lora_dropout": to("adapter.lora_dropout", number),
    "lora_target_modules": to("adapter.target_modules", lambda value: value[0] if value == ["all-linear"] else value),
    "lora_target_parameters": to("adapter.target_parameters"),
    "lora_modules_to_save": to("adapter.modules_to_save"),
    "use_rslora": unless_off(to("adapter.use_rslora"), "off, as here"),
    "use_dora": unless_off(to("adapter.use_dora"), "off, as here"),
}
_RULES: Mapping[str, Rule] = {
    **_ADAPTER,
    "model_name_or_path": to("model.base"),
    "model_revision": lambda value, _: (
        Left("`loraform pin` writes the newest commit") if value == "main" else Put("model.revision", value)
    ),
    "trust_remote_code": unless_off(to("model.trust_remote_code"), "off, as here"),
    "attn_implementation": to("model.attn_implementation"),
    "chat_template_path": lambda value, _: (
        Put("model.chat_template", value)
        if str(value).endswith(".jinja")
        else Left("another model's template: save it to a file and name it as model.chat_template")
    ),
    "lora_task_type": left("Loraform trains causal language models"),
}
_LEFT: Mapping[str, str] = {
    "Loraform sets it itself": """
        dataset_streaming streaming ignore_bias_buffers resume_from_checkpoint config accelerate_config dtype
        torch_dtype env""",
    "how training is spread over machines is `run.machine` (accelerator_count, replica_count)": "num_processes",
}
_LORA_DEFAULTS = (
    Put("adapter.r", 16, "trl's default"),
    Put("adapter.lora_alpha", 32, "trl's default"),
    Put("adapter.lora_dropout", 0.05, "trl's default"),
)
