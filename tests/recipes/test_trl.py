"""Recipes of `trl sft` become manifests that validate."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.recipes.carry import Imported
from reconciler.recipes.trl_sft import read_trl
from schemas.experiment import Experiment

PLAIN: dict[str, Any] = {
    "model_name_or_path": "acme/tiny-1b",
    "dataset_name": "acme/chats",
    "use_peft": True,
    "learning_rate": "2.0e-4",
    "output_dir": "out",
}
ROWS = "hf://datasets/acme/chats@refs%2Fconvert%2Fparquet/default"


def imported(**changes: Any) -> Imported:
    recipe = {key: value for key, value in (PLAIN | changes).items() if value is not ...}
    found = read_trl(recipe)
    Experiment.model_validate({"apiVersion": "loraform/v1", "kind": "Experiment", "name": "bot", **found.manifest})
    assert set(recipe) <= {note.key for note in found.notes} | {key for key, value in recipe.items() if not value}
    return found


def test_a_plain_recipe_is_carried_over_with_trls_own_adapter_defaults() -> None:
    assert imported().manifest == {
        "model": {"base": "acme/tiny-1b"},
        "data": {"train": f"{ROWS}/train/*.parquet"},
        "adapter": {"method": "lora", "r": 16, "lora_alpha": 32, "lora_dropout": 0.05},
        "training": {"learning_rate": 2e-4},
    }


@pytest.mark.parametrize(
    ("recipe", "path", "value"),
    [
        ({"use_peft": ..., "learning_rate": 1e-5}, "adapter.method", "full"),
        ({"load_in_4bit": True}, "adapter.method", "qlora"),
        ({"load_in_4bit": True}, "quantization.bnb_4bit_use_double_quant", False),
        ({"load_in_8bit": True}, "quantization.load_in_8bit", True),
        ({"lora_target_modules": ["all-linear"]}, "adapter.target_modules", "all-linear"),
        ({"dataset_test_split": "test", "eval_strategy": "steps"}, "data.eval", f"{ROWS}/test/*.parquet"),
        ({"test_split_size": 0.1}, "data.eval_fraction", 0.1),
        ({"chat_template_path": "chat.jinja"}, "model.chat_template", "chat.jinja"),
        ({"dataset_name": "rows/t.jsonl"}, "data.train", "rows/t.jsonl"),
        (
            {"dataset_name": ..., "datasets": [{"path": "rows/a.jsonl"}, {"path": "rows/b.jsonl", "fraction": 0.5}]},
            "data.mix",
            [{"rows": "rows/b.jsonl", "weight": 0.5}],
        ),
    ],
)
def test_a_key_that_is_said_otherwise_here_is_converted(recipe: dict[str, Any], path: str, value: Any) -> None:
    found: Any = imported(**recipe).manifest

    for part in path.split("."):
        found = found[part]
    assert found == value
