"""From the spec's keys to the libraries' configs: what the user gave, what the hardware wants, what Loraform sets.

Keys are passed through under their own names; a key that a library does not know, or that is Loraform's to set, is
refused. Decisions that the user did not take are told as notes.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from images.train.failures import SpecInvalid
from images.train.progress import Progress
from schemas.training_spec import TrainingSpec

OWN = frozenset({
    "chat_template_path", "dataset_kwargs", "dataset_num_proc", "dataset_text_field", "disable_tqdm",
    "do_eval", "do_predict", "do_train", "eos_token", "hub_always_push", "hub_model_id", "hub_private_repo",
    "hub_revision", "hub_strategy", "hub_token", "label_names", "logging_nan_inf_filter", "model_init_kwargs",
    "output_dir", "pad_token", "project", "push_to_hub", "remove_unused_columns", "report_to",
    "resume_from_checkpoint", "run_name", "trackio_space_id", "trust_remote_code", "use_cpu",
})  # fmt: skip
"""SFTConfig keys that are Loraform's to set."""

OURS = ("assistant_only_loss", "completion_only_loss", "max_length", "truncation_mode")
"""SFTConfig keys that this program obeys itself, on the rows, before trl sees them."""

MAX_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class Hardware:
    """What this machine trains with. `dtype` is the base weights' (`float32`, `bfloat16`, `float16`)."""

    device: str
    name: str
    dtype: str
    threads: int

    @property
    def cpu(self) -> bool:
        """True without an accelerator."""
        return self.device == "cpu"


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows become tokens. `max_length` in tokens, None for no bound; `cut` truncates instead of refusing."""

    answers_only: bool
    max_length: int | None
    cut: bool


def look_at_hardware(env: Mapping[str, str]) -> Hardware:
    """Find the accelerator, and give torch as many threads as there are cores to use."""
    import torch

    if torch.cuda.is_available():
        dtype = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
        return Hardware("cuda", torch.cuda.get_device_name(0), dtype, torch.get_num_threads())
    threads = int(env["OMP_NUM_THREADS"]) if env.get("OMP_NUM_THREADS", "").isdigit() else _cores()
    torch.set_num_threads(max(1, threads))
    return Hardware("cpu", f"{threads} cores", "float32", threads)


def reading(spec: TrainingSpec) -> Reading:
    """What `training` says about masks and lengths. `completion_only_loss` is for plain prompt and completion."""
    given = spec.training
    answers_only = bool(given.get("assistant_only_loss", True))
    if spec.data.format == "prompt_completion" and given.get("completion_only_loss") is False:
        answers_only = False
    length = given.get("max_length", MAX_LENGTH)
    if length is not None and (not isinstance(length, int) or length < 1):
        raise SpecInvalid(f"training.max_length is {length!r}", "It must be a whole number of tokens, or null.")
    return Reading(answers_only, length, "truncation_mode" in given)


def sft_config(spec: TrainingSpec, hardware: Hardware, output_dir: str, steps: int, progress: Progress) -> Any:
    """The `SFTConfig` of this run; `steps` is the expected number of optimiser steps."""
    from trl import SFTConfig

    given = {key: value for key, value in spec.training.items() if key not in OURS}
    _known("training", given, (field.name for field in fields(SFTConfig)), OWN)
    defaults: dict[str, Any] = {
        "bf16": hardware.dtype == "bfloat16",
        "fp16": hardware.dtype == "float16",
        "logging_steps": max(1, min(10, steps // 40)),
        "save_strategy": "no",
        "per_device_eval_batch_size": max(8, int(given.get("per_device_train_batch_size", 8))),
    }
    if hardware.cpu:
        defaults |= {"gradient_checkpointing": False, "dataloader_pin_memory": False, "use_cpu": True}
        progress.note("no accelerator: training on the CPU in float32, without gradient checkpointing")
    if "activation_checkpointing" in given:
        defaults.pop("gradient_checkpointing", None)
    own = {
        "output_dir": output_dir,
        "report_to": "none",
        "disable_tqdm": True,
        "logging_nan_inf_filter": False,  # A loss that is no number must be seen, not averaged away.
        "max_length": spec.training.get("max_length", MAX_LENGTH) if given.get("packing") else None,
        # Rows come ready. Packing and shuffling are parts of trl's preparation, which costs seconds.
        "dataset_kwargs": {"skip_prepare_dataset": not (given.get("packing") or given.get("shuffle_dataset"))},
    }
    try:
        return SFTConfig(**{**defaults, **given, **own})
    except (TypeError, ValueError) as error:
        raise SpecInvalid(
            f"trl refuses the training settings: {_line(error)}", "Mend `training` in the manifest."
        ) from error


def lora_config(spec: TrainingSpec) -> Any:
    """The peft `LoraConfig` of this run; None for full fine-tuning."""
    if spec.method == "full":
        if spec.adapter:
            raise SpecInvalid("adapter settings make no sense for method: full", f"Remove {', '.join(spec.adapter)}.")
        return None
    from peft import LoraConfig

    _known("adapter", spec.adapter, (field.name for field in fields(LoraConfig)), {"task_type", "inference_mode"})
    try:
        return LoraConfig(**{"target_modules": "all-linear", **spec.adapter, "task_type": "CAUSAL_LM"})
    except (TypeError, ValueError) as error:
        raise SpecInvalid(
            f"peft refuses the adapter settings: {_line(error)}", "Mend `adapter` in the manifest."
        ) from error


def quantization_config(spec: TrainingSpec, hardware: Hardware) -> Any:
    """The `BitsAndBytesConfig` of this run, or None. `method: qlora` presets NF4 with double quantisation."""
    preset: dict[str, Any] = {}
    if spec.method == "qlora":
        preset = {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": True,
            "bnb_4bit_compute_dtype": hardware.dtype,
        }
    if not preset and not spec.quantization:
        return None
    if spec.method == "full":
        raise SpecInvalid("A quantised base cannot be fine-tuned in full", "Use method: qlora, or drop `quantization`.")
    import inspect

    from transformers import BitsAndBytesConfig

    _known("quantization", spec.quantization, inspect.signature(BitsAndBytesConfig).parameters, {"kwargs"})
    try:
        return BitsAndBytesConfig(**{**preset, **spec.quantization})
    except (TypeError, ValueError, AttributeError) as error:
        raise SpecInvalid(f"bitsandbytes refuses: {_line(error)}", "Mend `quantization` in the manifest.") from error


def _known(block: str, given: Mapping[str, Any], valid: Iterable[str], own: Iterable[str]) -> None:
    names, taken = set(valid), set(own)
    for key in given:
        if key in taken:
            raise SpecInvalid(f"{block}.{key} is set by Loraform", f"Remove it from `{block}`.")
        if key not in names:
            near = difflib.get_close_matches(key, names - taken, n=1)
            raise SpecInvalid(
                f"{block}.{key} is not a setting of this version",
                f"Did you mean {near[0]}?" if near else f"Remove it from `{block}`.",
            )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
