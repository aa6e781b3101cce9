"""Recipes of LLaMA-Factory become manifests that validate, and every key of theirs is told."""

from __future__ import annotations

from typing import Any

import pytest

from images.common.row_template import read_template
from reconciler.recipes.carry import Imported, NotSupervised, table_of
from reconciler.recipes.llamafactory import _LEFT, _RULES, read_llamafactory
from reconciler.recipes.transformers_keys import training_rules
from schemas.experiment import Experiment

PLAIN: dict[str, Any] = {
    "model_name_or_path": "acme/tiny-4b",
    "stage": "sft",
    "do_train": True,
    "finetuning_type": "lora",
    "lora_rank": 16,
    "lora_target": "all",
    "dataset": "faq",
    "cutoff_len": 1024,
    "learning_rate": "1.0e-4",
    "num_train_epochs": 3.0,
    "warmup_ratio": 0.1,
    "bf16": True,
}
INFO: dict[str, dict[str, Any]] = {
    "faq": {"file_name": "faq.json"},
    "more": {"file_name": "more.json"},
    "chats": {
        "hf_hub_url": "acme/chats",
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "system": "setting"},
    },
    "pairs": {"file_name": "pairs.json", "ranking": True},
    "tagged": {
        "file_name": "tagged.json",
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"},
    },
}


def imported(**changes: Any) -> Imported:
    recipe = {key: value for key, value in (PLAIN | changes).items() if value is not ...}
    found = read_llamafactory(recipe, INFO.get)
    Experiment.model_validate({"apiVersion": "loraform/v1", "kind": "Experiment", "name": "bot", **found.manifest})
    return found


def test_a_plain_recipe_is_carried_over_with_what_its_defaults_mean() -> None:
    manifest: Any = imported().manifest

    assert manifest["adapter"] == {"method": "lora", "r": 16, "target_modules": "all-linear", "lora_alpha": 32}
    assert manifest["training"] == {
        "max_length": 1024,
        "learning_rate": 1e-4,
        "num_train_epochs": 3.0,
        "warmup_steps": 0.1,
        "bf16": True,
    }
    assert (manifest["data"]["train"], manifest["data"]["on_long_row"]) == ("data/faq.json", "truncate")


def test_alpaca_rows_are_joined_as_there_with_system_and_input() -> None:
    data: Any = imported().manifest["data"]

    template = read_template(data["template"])
    assert template.question({"instruction": "Add", "input": "1 1"}) == [{"role": "user", "content": "Add\n1 1"}]
    assert template.row({"instruction": "Hi", "output": "Ho"})["messages"][0] == {"role": "user", "content": "Hi"}


def test_sharegpt_rows_become_turns_led_by_their_system_field() -> None:
    data: Any = imported(dataset="chats").manifest["data"]

    template = read_template(data["template"])
    chat = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    assert [turn["role"] for turn in template.row({"setting": "Be.", "conversations": chat})["messages"]] == [
        "system", "user", "assistant",
    ]  # fmt: skip
    assert [turn["role"] for turn in template.row({"conversations": chat})["messages"]] == ["user", "assistant"]
    assert data["train"].startswith("hf://datasets/acme/chats@")


def test_rows_in_openais_shape_need_no_template() -> None:
    data: Any = imported(dataset="tagged").manifest["data"]

    assert data == {"train": "data/tagged.json", "on_long_row": "truncate"}


def test_every_key_that_is_given_is_told_whatever_its_value() -> None:
    keys = {*_RULES, *table_of(_LEFT), *training_rules(), "nobody_knows_it"}
    recipe = {**dict.fromkeys(sorted(keys), 1), **PLAIN, "val_size": 0.1, "max_samples": 10, "mix_strategy": "concat"}

    found = read_llamafactory(recipe, INFO.get)

    assert set(recipe) <= {note.key for note in found.notes} | {"stage"}


@pytest.mark.parametrize(("key", "value"), [("stage", "dpo"), ("stage", "pt"), ("finetuning_type", "oft")])
def test_other_kinds_of_training_are_refused_by_name(key: str, value: str) -> None:
    with pytest.raises(NotSupervised, match=value):
        read_llamafactory({**PLAIN, key: value}, INFO.get)


@pytest.mark.parametrize(
    ("recipe", "path", "value"),
    [
        ({"quantization_bit": 4}, "adapter.method", "qlora"),
        ({"quantization_bit": 4, "double_quantization": False}, "quantization.bnb_4bit_use_double_quant", False),
        ({"quantization_bit": 4, "quantization_type": "fp4"}, "quantization.bnb_4bit_quant_type", "fp4"),
        ({"quantization_bit": 8}, "quantization.load_in_8bit", True),
        ({"lora_target": "q_proj, v_proj"}, "adapter.target_modules", ["q_proj", "v_proj"]),
        ({"pissa_init": True}, "adapter.init_lora_weights", "pissa_niter_16"),
        ({"flash_attn": "fa2"}, "model.attn_implementation", "flash_attention_2"),
        ({"dataset": "faq,more"}, "data.mix", [{"rows": "data/more.json"}]),
        ({"max_samples": 100}, "data.max_rows", 100),
        ({"val_size": 0.1, "eval_steps": 50}, "training.eval_steps", 50),
        ({"val_size": 0.1}, "data.eval_fraction", 0.1),
        ({"eval_dataset": "more"}, "data.eval", "data/more.json"),
        ({"train_on_prompt": True}, "training.assistant_only_loss", False),
        ({"neat_packing": True}, "training.packing", True),
        ({"disable_gradient_checkpointing": True}, "training.gradient_checkpointing", False),
        ({"learning_rate": ...}, "training.learning_rate", 5e-5),
        ({"evaluation_strategy": "steps", "val_size": 0.1}, "training.eval_strategy", "steps"),
    ],
)
def test_a_key_that_is_said_otherwise_here_is_converted(recipe: dict[str, Any], path: str, value: Any) -> None:
    found: Any = imported(**recipe).manifest

    for part in path.split("."):
        found = found[part]
    assert found == value


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"template": "qwen3"}, "own chat template"),
        ({"dataset": "faq,pairs"}, "holds preferences"),
        ({"dataset": "faq,nowhere"}, "no dataset_info.json"),
        ({"quantization_bit": 4, "quantization_method": "hqq"}, "only bitsandbytes"),
        ({"eval_steps": 50}, "no eval rows"),
        ({"use_galore": True}, "LLaMA-Factory's own"),
        ({"dataset": "faq,chats"}, "another shape"),
    ],
)
def test_what_has_no_place_says_why(recipe: dict[str, Any], said: str) -> None:
    assert any(said in note.said for note in imported(**recipe).left)
