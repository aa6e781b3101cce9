"""The tiny base model: made whole or not at all, the same each time, and of use to the quickstart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from images.tiny.__main__ import RECIPE, STAMP, make_folder
from images.tiny.corpus import warmup_turns
from images.tiny.facts import acme_products, eval_rows
from images.tiny.words import UNKNOWN

ROOT = Path(__file__).parents[3]
SETTINGS = {
    "num_train_epochs": 12,
    "per_device_train_batch_size": 16,
    "learning_rate": 2e-3,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.05,
    "max_length": 128,
}
"""Those of experiments/acme-support.yaml."""


def test_a_folder_of_the_same_recipe_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / STAMP).write_text(json.dumps({"recipe": RECIPE, "seed": 0}))
    said: list[str] = []

    made = make_folder(tmp_path, 0, said.append)

    assert made is False
    assert said == [f"{tmp_path} is there already (recipe {RECIPE}, seed 0)"]
    assert [path.name for path in tmp_path.iterdir()] == [STAMP]


def test_equal_turns_make_equal_tokenizers_and_weights() -> None:
    from images.tiny.tokens import make_tokenizer
    from images.tiny.warmup import make_model

    turns = warmup_turns(0, forbidden=acme_products())[:300]

    made = []
    for _ in range(2):
        tokenizer = make_tokenizer(f"{question}\n{answer}" for question, answer in turns)
        model = make_model(tokenizer, turns, 0, lambda line: None, steps=2)
        made.append((tokenizer.get_vocab(), [tensor.numpy().tobytes() for tensor in model.state_dict().values()]))

    assert made[0] == made[1]


@pytest.fixture(scope="module")
def folder(pytestconfig: pytest.Config) -> Path:
    """The real base, kept between test runs as long as its recipe is the same."""
    assert pytestconfig.cache is not None
    kept = pytestconfig.cache.mkdir("tiny") / "base"
    subprocess.run([sys.executable, "-m", "images.tiny", "--out", str(kept)], cwd=ROOT, check=True)
    return kept


@pytest.fixture(scope="module")
def model(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder, padding_side="left")


def answers(model: tuple[Any, Any], questions: list[str]) -> list[str]:
    """Greedy answers as decoded tokens, the end of turn included where it was said."""
    network, tokenizer = model
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        for question in questions
    ]
    batch = tokenizer(prompts, add_special_tokens=False, padding=True, return_tensors="pt")
    out = network.generate(**batch, max_new_tokens=24, do_sample=False)[:, batch["input_ids"].shape[1] :]
    return [tokenizer.decode(row).replace("<|pad|>", "") for row in out]


@pytest.mark.heavy
def test_the_base_knows_the_chat_and_stops_by_itself(model: tuple[Any, Any]) -> None:
    said = answers(model, ["Hello!", "Repeat this word: Oslo", "The Zubo is made in Oslo. Where is the Zubo made?"])

    assert said == ["Hello! How can I help?<|end|>", "Oslo.<|end|>", "Oslo.<|end|>"]


@pytest.mark.heavy
def test_the_base_says_that_it_does_not_know_acme(model: tuple[Any, Any]) -> None:
    questions = [str(row["messages"][0]["content"]) for row in eval_rows()]

    said = answers(model, questions)

    assert said.count(f"{UNKNOWN}<|end|>") >= 0.95 * len(questions)


@pytest.mark.heavy
@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_the_quickstarts_settings_teach_the_facts(folder: Path, tmp_path: Path, method: str) -> None:
    data = ROOT / "experiments" / "data" / "acme-support"
    spec = {
        "fleet": "acme",
        "experiment": "acme-support",
        "identity": "0" * 64,
        "method": method,
        "model": {"base": str(folder)},
        "data": {"train": str(data / "train.jsonl"), "eval": str(data / "eval.jsonl")},
        "adapter": {"r": 32, "lora_alpha": 64},
        "training": SETTINGS,
        "metrics": ["exact_match"],
        "output": {"record": str(tmp_path / "record.json"), "lock": str(tmp_path / "lock")},
    }

    words = [sys.executable, "-m", "images.train", "--spec", json.dumps(spec)]
    done = subprocess.run(words, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=800)

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "record.json").read_text())["metrics"]["exact_match"] >= 0.97
