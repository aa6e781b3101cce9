"""Recipes of axolotl become manifests that validate, and every key of theirs is told."""

from __future__ import annotations

from typing import Any

import pytest

from images.common.row_template import read_template
from reconciler.recipes.axolotl import _RULES, read_axolotl
from reconciler.recipes.axolotl_left import LEFT
from reconciler.recipes.carry import Imported, NotSupervised, table_of
from schemas.experiment import Experiment

PLAIN: dict[str, Any] = {
    "base_model": "acme/tiny-8b",
    "adapter": "qlora",
    "load_in_4bit": True,
    "datasets": [{"path": "rows/train.jsonl", "type": "chat_template"}],
    "lora_r": 32,
    "lora_alpha": 16,
    "lora_target_linear": True,
    "micro_batch_size": 2,
    "gradient_accumulation_steps": 4,
    "num_epochs": 2,
    "learning_rate": "2e-4",
    "sequence_len": 2048,
    "optimizer": "paged_adamw_8bit",
    "lr_scheduler": "cosine",
    "gradient_checkpointing": True,
}


def imported(**changes: Any) -> Imported:
    recipe = {key: value for key, value in (PLAIN | changes).items() if value is not ...}
    found = read_axolotl(recipe)
    Experiment.model_validate({"apiVersion": "loraform/v1", "kind": "Experiment", "name": "bot", **found.manifest})
    return found


def test_a_plain_recipe_is_carried_over_whole() -> None:
    found = imported()

    assert found.manifest == {
        "model": {"base": "acme/tiny-8b"},
        "data": {"train": "rows/train.jsonl", "on_long_row": "drop"},
        "adapter": {"method": "qlora", "r": 32, "lora_alpha": 16, "target_modules": "all-linear"},
        "training": {
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 4,
            "num_train_epochs": 2,
            "learning_rate": 2e-4,
            "max_length": 2048,
            "optim": "paged_adamw_8bit",
            "lr_scheduler_type": "cosine",
            "gradient_checkpointing": True,
        },
    }
    assert found.left == ()


def test_what_a_left_out_key_means_there_is_written_where_it_means_something_else_here() -> None:
    found = imported(
        micro_batch_size=..., num_epochs=..., sequence_len=..., lr_scheduler=..., gradient_checkpointing=...
    )

    training: Any = found.manifest["training"]
    assert (training["per_device_train_batch_size"], training["num_train_epochs"], training["max_length"]) == (
        1,
        1,
        512,
    )
    assert (training["lr_scheduler_type"], training["gradient_checkpointing"]) == ("cosine", False)


def test_every_key_that_is_given_is_told_whatever_its_value() -> None:
    keys = {*_RULES, *table_of(LEFT), "nobody_knows_it"} - {"rl", "reward_model", "process_reward_model"}
    recipe = {**dict.fromkeys(sorted(keys - {"pretraining_dataset"}), 1), **PLAIN}

    found = read_axolotl(recipe)

    assert set(recipe) <= {note.key for note in found.notes}
    (unknown,) = (note for note in found.left if note.key == "nobody_knows_it")
    assert "no key that this import knows" in unknown.said


def test_no_key_has_two_fates() -> None:
    assert set(_RULES) & set(table_of(LEFT)) == set()


@pytest.mark.parametrize("key", ["rl", "reward_model", "process_reward_model", "pretraining_dataset"])
def test_other_kinds_of_training_are_refused_by_name(key: str) -> None:
    with pytest.raises(NotSupervised, match=key):
        read_axolotl({**PLAIN, key: "dpo"})


def test_an_adapter_that_nobody_trains_is_refused() -> None:
    with pytest.raises(NotSupervised, match="llama-adapter"):
        imported(adapter="llama-adapter")


def test_without_an_adapter_all_weights_are_trained() -> None:
    keys = ("adapter", "load_in_4bit", "lora_r", "lora_alpha", "lora_target_linear")
    found = imported(**dict.fromkeys(keys, ...))

    assert found.manifest["adapter"] == {"method": "full"}


def test_alpaca_rows_are_asked_as_axolotl_asks_them() -> None:
    found = imported(datasets=[{"path": "acme/alpaca", "type": "alpaca", "split": "train[:10%]"}])

    data: Any = found.manifest["data"]
    template = read_template(data["template"])
    with_input = template.row({"instruction": "Add", "input": "1 1", "output": "2"})
    without = template.row({"instruction": "Greet", "input": "", "output": "Hi"})
    assert data["train"] == "hf://datasets/acme/alpaca@refs%2Fconvert%2Fparquet/default/train/*.parquet"
    assert with_input["prompt"].endswith("### Instruction:\nAdd\n\n### Input:\n1 1\n\n### Response:\n")
    assert without["prompt"].endswith("completes the request.\n\n### Instruction:\nGreet\n\n### Response:\n")
    assert without["completion"] == "Hi"
    assert any("slice" in note.said for note in found.left)


def test_chats_under_other_names_become_turns() -> None:
    rows = {
        "path": "json",
        "data_files": ["rows/a.jsonl", "rows/b.jsonl"],
        "type": "chat_template",
        "field_messages": "conversations",
        "message_property_mappings": {"role": "from", "content": "value"},
        "train_on_eos": "turn",
    }

    found = imported(datasets=[rows])

    data: Any = found.manifest["data"]
    turns = read_template(data["template"]).row(
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}, {"from": "x", "value": "c"}]}
    )
    assert data["train"] == "rows/a.jsonl"
    assert [(turn["role"], turn["content"]) for turn in turns["messages"]] == [
        ("user", "a"), ("assistant", "b"), ("x", "c"),
    ]  # fmt: skip
    said = " ".join(note.said for note in found.left)
    assert "rows/b.jsonl" in said
    assert "train_on_eos" in said


def test_a_prompt_of_ones_own_keeps_its_placeholders_and_its_spaces() -> None:
    own = {
        "system_prompt": "Be brief.",
        "field_instruction": "q",
        "field_output": "a",
        "format": "Q: {instruction}\nX: {input}\nA:",
        "no_input_format": "Q: {instruction}\nA:",
    }

    data: Any = imported(datasets=[{"path": "rows/t.csv", "type": own}]).manifest["data"]

    template = read_template(data["template"])
    assert template.row({"q": "1+1", "a": "2"}) == {"prompt": "Be brief.\nQ: 1+1\nA:", "completion": "2"}
    assert template.question({"q": "1+1", "input": "y"}) == "Be brief.\nQ: 1+1\nX: y\nA:"


def test_further_rows_of_the_same_shape_are_mixed_in_and_others_told() -> None:
    sets = [
        {"path": "rows/a.jsonl", "type": "completion", "field": "body"},
        {"path": "gs://b/more.jsonl", "type": "completion", "field": "body"},
        {"path": "acme/chats", "type": "chat_template"},
        {"path": "s3://b/x.jsonl", "type": "completion", "field": "body"},
    ]

    found = imported(datasets=sets)

    assert found.manifest["data"] == {
        "train": "rows/a.jsonl",
        "format": "text",
        "mix": [{"rows": "gs://b/more.jsonl"}],
        "on_long_row": "drop",
    }
    training: Any = found.manifest["training"]
    assert training["dataset_text_field"] == "body"
    said = [note.said for note in found.left]
    assert any("another shape" in text for text in said)
    assert any("s3://b/x.jsonl" in text for text in said)


@pytest.mark.parametrize(
    ("recipe", "path", "value"),
    [
        ({"warmup_ratio": 0.1}, "training.warmup_steps", 0.1),
        ({"val_set_size": 0.05, "evals_per_epoch": 2}, "training.eval_steps", 0.25),
        ({"val_set_size": 0.05}, "data.eval_fraction", 0.05),
        ({"saves_per_epoch": 1}, "training.save_steps", 0.5),
        ({"batch_size": 16, "gradient_accumulation_steps": ...}, "training.gradient_accumulation_steps", 8),
        ({"train_on_inputs": True}, "training.assistant_only_loss", False),
        ({"flash_attention": True}, "model.attn_implementation", "flash_attention_2"),
        ({"gradient_checkpointing": "offload"}, "training.activation_offloading", True),
        ({"peft": {"loftq_config": {"loftq_bits": 4}}}, "adapter.init_lora_weights", "loftq"),
        ({"bnb_config_kwargs": {"bnb_4bit_quant_type": "fp4"}}, "quantization.bnb_4bit_quant_type", "fp4"),
        ({"plugins": ["axolotl.integrations.liger.LigerPlugin"]}, "training.use_liger_kernel", True),
        ({"liger_glu_activation": True}, "training.liger_kernel_config", {"swiglu": True}),
        ({"cosine_min_lr_ratio": 0.1}, "training.lr_scheduler_type", "cosine_with_min_lr"),
        ({"special_tokens": {"eos_token": "<end>", "pad_token": "<pad>"}}, "training.eos_token", "<end>"),
        ({"chat_template": "jinja", "chat_template_jinja": "{{ messages }}"}, "model.chat_template", "{{ messages }}"),
        ({"test_datasets": [{"path": "rows/e.jsonl", "type": "chat_template"}]}, "data.eval", "rows/e.jsonl"),
        ({"excess_length_strategy": "raise"}, "data.on_long_row", "fail"),
        ({"adapter": "lora", "load_in_4bit": ..., "load_in_8bit": True}, "quantization.load_in_8bit", True),
        ({"adapter": "lora"}, "adapter.method", "qlora"),
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
        ({"optimizer": "muon"}, "adamw_torch_fused is used"),
        ({"evals_per_epoch": 2}, "no eval rows"),
        ({"val_set_size": 500}, "give a fraction"),
        ({"chat_template": "chatml"}, "is not shipped"),
        ({"wandb_project": "x"}, "run record"),
        ({"lora_model_dir": "out"}, "another adapter"),
        ({"deepspeed": "zero3.json"}, "run.machine"),
        ({"datasets": [{"path": "rows/a.jsonl", "type": "context_qa"}]}, "axolotl's own"),
    ],
)
def test_what_has_no_place_says_why(recipe: dict[str, Any], said: str) -> None:
    assert any(said in note.said for note in imported(**recipe).left)
