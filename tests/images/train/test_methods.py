"""One short training per method on one tiny base, in one process: each leaves what its base can take."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from images.train.failures import SpecInvalid
from images.train.progress import Progress
from images.train.run import run
from images.train.signals import Notice
from images.train.storage import Storage
from schemas.training_spec import TrainingSpec
from tests.images.train.families import BY_NAME, make_base

pytestmark = pytest.mark.heavy

LORA = {"r": 4, "lora_alpha": 8}
SHORT = {"max_steps": 3, "per_device_train_batch_size": 4, "learning_rate": 0.01, "max_length": 64}
BEST = {"max_steps": 6, "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2}
Heard = tuple[Progress, Callable[[], list[dict[str, Any]]]]


@dataclass(frozen=True)
class Bench:
    """A random Llama and eight rows."""

    base: Path
    rows: Path

    def spec(self, folder: Path, **more: Any) -> TrainingSpec:
        told: dict[str, Any] = {
            "fleet": "acme",
            "experiment": "shelves",
            "identity": "ab" * 32,
            "model": {"base": str(self.base)},
            "data": {"train": str(self.rows), "eval": str(self.rows)},
            "adapter": LORA,
            "training": SHORT,
            "scoring": {"base": False},
            "output": {"record": str(folder / "record.json"), "lock": str(folder / "lock")},
            **more,
        }
        return TrainingSpec.model_validate(told)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("methods")
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Where is {thing}?"},
                {"role": "assistant", "content": f"On shelf {number}."},
            ]
        }
        for number, thing in enumerate("abcdefgh")
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Bench(make_base(BY_NAME["llama3"], folder / "base"), folder / "rows.jsonl")


def train(bench: Bench, folder: Path, progress: Progress, **more: Any) -> dict[str, Any]:
    """Train, and return the run record."""
    run(bench.spec(folder, **more), str(folder / "model"), progress, Storage(), {"OMP_NUM_THREADS": "1"}, Notice())
    found: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return found


def config_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "model/adapter_config.json").read_text())
    return found


@pytest.mark.filterwarnings("ignore:Paged optimizers are not supported on CPU")
@pytest.mark.parametrize(
    "more",
    [
        {"adapter": {**LORA, "use_rslora": True}},
        {"adapter": {**LORA, "use_dora": True}},
        {"adapter": {**LORA, "init_lora_weights": "orthogonal"}},
        {"adapter": {**LORA, "rank_pattern": {"q_proj": 8}, "alpha_pattern": {"q_proj": 16}}},
        {"adapter": {**LORA, "target_modules": ["q_proj", "v_proj"]}},
        {"adapter": {**LORA, "modules_to_save": ["lm_head", "embed_tokens"]}},
        {"method": "full", "adapter": {}},
        {"method": "qlora", "quantization": {"bnb_4bit_quant_storage": "bfloat16", "bnb_4bit_use_double_quant": False}},
        {"quantization": {"load_in_8bit": True}},
        {"training": {**SHORT, "packing": True}},
        {"training": {**SHORT, "padding_free": True}},
        {"training": {**SHORT, "optim": "paged_adamw_8bit"}},
        {"training": {**SHORT, "optim": "adafactor", "lr_scheduler_type": "cosine"}},
        {"training": {**SHORT, "gradient_checkpointing": True}},
        {"training": {**SHORT, "activation_offloading": True, "use_liger_kernel": True}},
        {"training": {**SHORT, **BEST, "load_best_model_at_end": True, "metric_for_best_model": "eval_loss"}},
    ],
    ids=lambda more: next(iter(json.dumps(value)[:60] for value in more.values())),
)
def test_a_method_trains_and_its_loss_is_measured(bench: Bench, tmp_path: Path, heard: Heard, more: Any) -> None:
    record = train(bench, tmp_path, heard[0], **more)

    assert record["metrics"]["eval_loss"] < 6.5
    assert record["artifact_digest"]


@pytest.mark.parametrize("init", ["pissa", "pissa_niter_4", "olora"])
def test_an_adapter_that_began_as_a_part_of_its_base_fits_the_base_as_it_is(
    bench: Bench, tmp_path: Path, heard: Heard, init: str
) -> None:
    # The loss at the end of the training, on the base that lacked a part, is the loss of what was written on the whole.
    training = {**SHORT, "max_steps": 4, "eval_strategy": "steps", "eval_steps": 4}

    record = train(bench, tmp_path, heard[0], adapter={**LORA, "init_lora_weights": init}, training=training)

    seen = [event["eval_loss"] for event in heard[1]() if event["event"] == "evaluation"]
    config = config_of(tmp_path)
    assert (config["r"], config["lora_alpha"], config["init_lora_weights"]) == (8, 16, True)
    assert record["metrics"]["eval_loss"] == pytest.approx(seen[-1], abs=2e-3)


@pytest.mark.parametrize("init", ["eva", "corda", "loftq", "mica", "unheard_of"])
def test_a_way_to_begin_that_would_not_be_what_it_says_is_refused(
    bench: Bench, tmp_path: Path, heard: Heard, init: str
) -> None:
    with pytest.raises(SpecInvalid, match="init_lora_weights cannot be obeyed"):
        train(bench, tmp_path, heard[0], adapter={**LORA, "init_lora_weights": init})


def test_what_only_an_accelerator_has_is_left_out_here_and_told(bench: Bench, tmp_path: Path, heard: Heard) -> None:
    model = {"base": str(bench.base), "attn_implementation": "flash_attention_2"}

    train(bench, tmp_path, heard[0], model=model, training={**SHORT, "use_liger_kernel": True})

    notes = [event["text"] for event in heard[1]() if event["event"] == "note"]
    assert "model.attn_implementation: flash_attention_2 needs an accelerator: it is sdpa here" in notes
    assert "training.use_liger_kernel needs an accelerator: it is left out here" in notes


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(bench: Bench, tmp_path: Path, heard: Heard) -> None:
    records = []
    for number, seed in enumerate((1, 1, 2)):
        folder = tmp_path / str(number)
        folder.mkdir()
        records.append(train(bench, folder, heard[0], training={**SHORT, "seed": seed})["artifact_digest"])

    bytes_of = [(tmp_path / str(number) / "model/adapter_model.safetensors").read_bytes() for number in range(3)]
    assert records[0] == records[1] != records[2]
    assert bytes_of[0] == bytes_of[1] != bytes_of[2]


def test_a_loss_over_packed_rows_is_the_loss_over_the_rows(bench: Bench, tmp_path: Path, heard: Heard) -> None:
    # One step over all rows with a learning rate of almost nothing: what is told is the loss of the base.
    one = {**SHORT, "max_steps": 1, "per_device_train_batch_size": 8, "learning_rate": 1e-12, "logging_steps": 1}
    losses = []
    for name, more in (
        ("apart", {}),
        ("packed", {"packing": True, "max_length": 256}),
        ("free", {"padding_free": True}),
    ):
        folder = tmp_path / name
        folder.mkdir()
        train(bench, folder, heard[0], training={**one, **more})
        losses.append([event["loss"] for event in heard[1]() if event["event"] == "step"][-1])

    assert losses[1:] == pytest.approx([losses[0]] * 2, abs=1e-4)


def test_an_adapter_on_a_multimodal_base_is_for_the_language_model_alone(
    tmp_path: Path, bench: Bench, heard: Heard
) -> None:
    from safetensors import safe_open

    base = make_multimodal(tmp_path / "base")

    train(bench, tmp_path, heard[0], model={"base": str(base)})

    with safe_open(tmp_path / "model/adapter_model.safetensors", "pt") as file:
        names = list(file.keys())
    assert names
    assert all("language_model" in name for name in names)


def make_multimodal(folder: Path) -> Path:
    """A random Gemma 3 with a vision tower."""
    import torch
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    from tests.images.train.families import make_tokenizer, stops

    family = BY_NAME["gemma3"]
    tokenizer = make_tokenizer(family)
    size = len(tokenizer)
    text = {
        "vocab_size": size + 8, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, **family.config,
    }  # fmt: skip
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 28, "patch_size": 14,
    }  # fmt: skip
    config = Gemma3Config(
        text_config=text,
        vision_config=vision,
        mm_tokens_per_image=1,
        image_token_index=size,
        boi_token_index=size + 1,
        eoi_token_index=size + 2,
    )
    torch.manual_seed(1)
    Gemma3ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": list(stops(family, tokenizer))}))
    return folder
