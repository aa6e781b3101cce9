from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from images.train.failures import SpecInvalid
from images.train.fitting import expected_steps
from images.train.progress import Progress
from images.train.settings import Hardware, lora_config, quantization_config, reading, sft_config
from schemas.training_spec import TrainingSpec
from tests.images.train.conftest import IDENTITY

CPU = Hardware("cpu", "2 cores", "float32", 2)

Heard = tuple[Progress, Callable[[], list[dict[str, Any]]]]


def a_spec(**more: Any) -> TrainingSpec:
    return TrainingSpec.model_validate(
        {
            "fleet": "acme",
            "experiment": "support",
            "identity": IDENTITY,
            "model": {"base": "./base"},
            "data": {"train": "./train.jsonl"},
            "output": {"record": "./r.json", "lock": "./r.lock"},
            **more,
        }
    )


def test_given_keys_reach_trl_and_the_rest_suits_a_cpu(heard: Heard, tmp_path: object) -> None:
    config = sft_config(a_spec(training={"learning_rate": 0.5, "warmup_steps": 0.1}), CPU, str(tmp_path), 10, heard[0])

    assert (config.learning_rate, config.warmup_steps) == (0.5, 0.1)
    assert (config.bf16, config.gradient_checkpointing, config.report_to) == (False, False, [])
    assert "on the CPU in float32" in heard[1]()[0]["text"]


def test_a_given_key_beats_what_the_hardware_suggests(heard: Heard, tmp_path: object) -> None:
    config = sft_config(a_spec(training={"gradient_checkpointing": True}), CPU, str(tmp_path), 10, heard[0])

    assert config.gradient_checkpointing is True


def test_a_row_setting_is_obeyed_here_and_not_by_trl(heard: Heard, tmp_path: object) -> None:
    training = {"assistant_only_loss": True, "max_length": 7, "truncation_mode": "keep_start"}

    config = sft_config(a_spec(training=training), CPU, str(tmp_path), 10, heard[0])

    assert (config.assistant_only_loss, config.max_length) == (False, None)
    assert config.dataset_kwargs == {"skip_prepare_dataset": True}


def test_packing_is_trls_own_work(heard: Heard, tmp_path: object) -> None:
    config = sft_config(a_spec(training={"packing": True, "max_length": 77}), CPU, str(tmp_path), 10, heard[0])

    assert config.max_length == 77
    assert config.dataset_kwargs == {"skip_prepare_dataset": False}


@pytest.mark.parametrize(
    ("block", "given", "said"),
    [
        ("training", {"learning_rte": 1}, "Did you mean learning_rate?"),
        ("training", {"output_dir": "x"}, "training.output_dir is set by Loraform"),
        ("training", {"dataset_kwargs": {"a": 1}}, "training.dataset_kwargs has no meaning here"),
        ("training", {"max_length": 0}, "training.max_length is 0"),
        ("training", {"lr_scheduler_type": "wavy"}, "trl refuses the training settings"),
        ("adapter", {"rank": 4}, "adapter.rank is not a key of peft"),
        ("adapter", {"task_type": "X"}, "adapter.task_type is set by Loraform"),
        ("adapter", {"loftq_config": {"bits": 4}, "use_dora": 1, "layers_pattern": "h"}, "peft refuses the adapter"),
        ("quantization", {"load_in_2bit": True}, "Did you mean load_in_"),
    ],
)
def test_a_setting_that_cannot_be_obeyed_is_named(
    heard: Heard, tmp_path: object, block: str, given: dict[str, Any], said: str
) -> None:
    spec = a_spec(**{block: given})

    with pytest.raises(SpecInvalid) as refused:
        every_config(spec, heard[0], str(tmp_path))

    assert said in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("training", "data", "long"),
    [
        ({}, {}, "fail"),
        ({"truncation_mode": "keep_start"}, {}, "truncate"),
        ({}, {"on_long_row": "drop"}, "drop"),
        ({}, {"on_long_row": "truncate"}, "truncate"),
    ],
)
def test_what_becomes_of_long_rows(training: dict[str, Any], data: dict[str, Any], long: str) -> None:
    assert reading(a_spec(training=training, data={"train": "./t", **data})).long == long


def test_a_lora_adapter_goes_into_all_linear_layers() -> None:
    assert lora_config(a_spec()).target_modules == "all-linear"
    assert lora_config(a_spec(adapter={"target_modules": None})).target_modules == "all-linear"
    assert lora_config(a_spec(adapter={"target_modules": ["q_proj"]})).target_modules == {"q_proj"}


def test_full_fine_tuning_has_no_adapter() -> None:
    assert lora_config(a_spec(method="full")) is None
    with pytest.raises(SpecInvalid, match="make no sense"):
        lora_config(a_spec(method="full", adapter={"r": 4}))
    with pytest.raises(SpecInvalid, match="cannot be fine-tuned in full"):
        quantization_config(a_spec(method="full", quantization={"load_in_8bit": True}), CPU)


def test_qlora_presets_nf4_with_double_quantisation() -> None:
    config = quantization_config(a_spec(method="qlora"), CPU)

    assert (config.load_in_4bit, config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == (True, "nf4", True)
    assert str(config.bnb_4bit_compute_dtype) == "torch.float32"


def test_a_given_quantisation_beats_the_preset() -> None:
    config = quantization_config(a_spec(method="qlora", quantization={"bnb_4bit_quant_type": "fp4"}), CPU)

    assert config.bnb_4bit_quant_type == "fp4"


def test_lora_quantises_nothing_by_itself() -> None:
    assert quantization_config(a_spec(), CPU) is None


def test_answers_alone_are_learnt_unless_the_manifest_says_otherwise() -> None:
    assert reading(a_spec()).answers_only is True
    assert reading(a_spec(training={"assistant_only_loss": False})).answers_only is False
    data = {"train": "./t", "format": "prompt_completion"}
    assert reading(a_spec(data=data, training={"completion_only_loss": False})).answers_only is False


@pytest.mark.parametrize(
    ("training", "steps"),
    [
        ({}, 39),
        ({"per_device_train_batch_size": 16, "num_train_epochs": 2}, 14),
        ({"gradient_accumulation_steps": 4, "num_train_epochs": 1}, 4),
        ({"max_steps": 5}, 5),
    ],
)
def test_the_number_of_steps_is_known_before_training(training: dict[str, Any], steps: int) -> None:
    assert expected_steps(100, training) == steps


def every_config(spec: TrainingSpec, progress: Progress, folder: str) -> None:
    reading(spec)
    sft_config(spec, CPU, folder, 10, progress)
    lora_config(spec)
    quantization_config(spec, CPU)
