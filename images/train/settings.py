"""From the spec's keys to the libraries' configs: what the user gave, what the hardware wants, what Loraform sets.

Keys are passed through under their own names; a key that a library does not know, or that is Loraform's to set, is
refused. Decisions that the user did not take are told as notes.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

from images.train.failures import SpecInvalid
from images.train.progress import Progress
from schemas.keys import OURS, table
from schemas.methods import refused_init
from schemas.quantization import QLORA
from schemas.training_spec import TrainingSpec

BY_ROWS = ("assistant_only_loss", "completion_only_loss", "dataset_kwargs", "max_length", "truncation_mode")
"""SFTConfig keys that this program obeys itself, on the rows: trl gets them ready-made."""

MAX_LENGTH = 1024
FLASH = ("flash_attention", "kernels-community/flash")


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
    """How rows become tokens. `max_length` in tokens, None for no bound; `long` is what becomes of a longer row.

    `text_field` is the key of plain text rows; `seed` draws the rows where not all are learnt from.
    """

    answers_only: bool
    max_length: int | None
    long: Literal["fail", "drop", "truncate"] = "fail"
    keep_end: bool = False
    text_field: str = "text"
    seed: int = 42


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
    if given.get("dataset_kwargs"):
        raise SpecInvalid("training.dataset_kwargs has no meaning here", "Remove it: rows are prepared by Loraform.")
    return Reading(
        answers_only,
        length,
        spec.data.on_long_row or ("truncate" if "truncation_mode" in given else "fail"),
        given.get("truncation_mode") == "keep_end",
        str(given.get("dataset_text_field", "text")),
        int(given.get("seed", 42)),
    )


def sft_config(spec: TrainingSpec, hardware: Hardware, output_dir: str, steps: int, progress: Progress) -> Any:
    """The `SFTConfig` of this run; `steps` is the expected number of optimiser steps."""
    from trl import SFTConfig

    _known("training", spec.training)
    given = {key: value for key, value in spec.training.items() if key not in BY_ROWS}
    defaults: dict[str, Any] = {
        "bf16": hardware.dtype == "bfloat16",
        "fp16": hardware.dtype == "float16",
        "logging_steps": max(1, min(10, steps // 40)),
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "logging_nan_inf_filter": False,  # A loss that is no number must be seen, not averaged away.
        "per_device_eval_batch_size": max(8, int(given.get("per_device_train_batch_size", 8))),
    }
    if hardware.cpu:
        defaults |= {"gradient_checkpointing": False, "dataloader_pin_memory": False, "use_cpu": True}
        defaults |= {"ddp_backend": "gloo"} if int(os.environ.get("WORLD_SIZE", "1")) > 1 else {}
        progress.note("no accelerator: training on the CPU in float32, without gradient checkpointing")
    _without_accelerator(given, hardware, progress)
    if "activation_checkpointing" in given:
        defaults.pop("gradient_checkpointing", None)
    own = {
        "output_dir": output_dir,
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


def _without_accelerator(given: dict[str, Any], hardware: Hardware, progress: Progress) -> None:
    """Take out of `given` what saves time or memory on an accelerator alone: the result is the same without."""
    if not hardware.cpu:
        if given.get("use_liger_kernel") and find_spec("liger_kernel") is None:
            raise SpecInvalid(
                "training.use_liger_kernel needs the package liger-kernel, which this image lacks",
                "Delete the key, or name an image with it in loraform.yaml.",
            )
        return
    for key in ("use_liger_kernel", "activation_offloading", "tf32"):
        if given.pop(key, None):
            progress.note(f"training.{key} needs an accelerator: it is left out here")


def attention(wanted: str | None, hardware: Hardware, progress: Progress) -> str | None:
    """The attention that this machine has: flash attention is for accelerators, and torch's own gives the same."""
    if wanted is None or not wanted.startswith(FLASH):
        return wanted
    if hardware.cpu:
        progress.note(f"model.attn_implementation: {wanted} needs an accelerator: it is sdpa here")
        return "sdpa"
    package = "flash_attn_3" if wanted.endswith("3") else "flash_attn"
    if wanted.startswith("flash_attention") and find_spec(package) is None:
        raise SpecInvalid(
            f"model.attn_implementation: {wanted} needs the package {package}, which this image lacks",
            "Write sdpa, or name an image with it in loraform.yaml.",
        )
    return wanted


def lora_config(spec: TrainingSpec) -> Any:
    """The peft `LoraConfig` of this run; None for full fine-tuning."""
    if spec.method == "full":
        if spec.adapter:
            raise SpecInvalid("adapter settings make no sense for method: full", f"Remove {', '.join(spec.adapter)}.")
        return None
    from peft import LoraConfig

    _known("adapter", spec.adapter)
    if (why := refused_init(spec.adapter.get("init_lora_weights"))) is not None:
        raise SpecInvalid(
            f"adapter.init_lora_weights cannot be obeyed: {why}", "Leave it out, or write pissa or olora."
        )
    # A null is the same as an absent key: both are the default, also in the identity.
    targets = spec.adapter.get("target_modules") or "all-linear"
    try:
        return LoraConfig(**{**spec.adapter, "target_modules": targets, "task_type": "CAUSAL_LM"})
    except (TypeError, ValueError) as error:
        raise SpecInvalid(
            f"peft refuses the adapter settings: {_line(error)}", "Mend `adapter` in the manifest."
        ) from error


def quantization_config(spec: TrainingSpec, hardware: Hardware) -> Any:
    """The `BitsAndBytesConfig` of this run, or None. `method: qlora` presets NF4 with double quantisation."""
    preset: dict[str, Any] = {}
    if spec.method == "qlora":
        preset = {**QLORA, "bnb_4bit_compute_dtype": hardware.dtype}
    if not preset and not spec.quantization:
        return None
    if spec.method == "full":
        raise SpecInvalid("A quantised base cannot be fine-tuned in full", "Use method: qlora, or drop `quantization`.")
    from transformers import BitsAndBytesConfig

    _known("quantization", spec.quantization)
    try:
        return BitsAndBytesConfig(**{**preset, **spec.quantization})
    except (TypeError, ValueError, AttributeError) as error:
        raise SpecInvalid(f"bitsandbytes refuses: {_line(error)}", "Mend `quantization` in the manifest.") from error


def _known(block: str, given: Mapping[str, Any]) -> None:
    """Refuse what the contract's table of the libraries' keys lacks or keeps for Loraform."""
    rows = table()[block].keys
    free = [key for key, row in rows.items() if row.effect != OURS]
    for key in given:
        if key not in rows:
            near = difflib.get_close_matches(key, free, n=1)
            remedy = f"Did you mean {near[0]}?" if near else f"Remove it from `{block}`."
            raise SpecInvalid(f"{block}.{key} is not a key of {table()[block].library}", remedy)
        if key not in free:
            raise SpecInvalid(f"{block}.{key} is set by Loraform", f"Remove it from `{block}`.")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
