"""Names that the libraries have dropped, or that other tools use: today's place, with the value converted.

A name that stands here is an error all the same; the error says what to write instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from schemas.effects import Json


class Today(NamedTuple):
    """What to write today: `path` (dotted, empty when nothing replaces the name) and the converted value."""

    path: str
    value: Json = None
    note: str = ""


class _Move(NamedTuple):
    path: str
    convert: Callable[[Json], Json] | None = None
    note: str = ""


def _same(value: Json) -> Json:
    return value


def _inverted(value: Json) -> Json:
    return not value if isinstance(value, bool) else None


def _dtype(value: Json) -> Json:
    if not isinstance(value, str):
        return None
    short = value.removeprefix("torch.")
    names = {"half": "float16", "fp16": "float16", "bf16": "bfloat16", "fp32": "float32", "float": "float32"}
    return names.get(short, short)


def _fixed(value: Json) -> Callable[[Json], Json]:
    return lambda _: value


def _moves(target: str, names: str, convert: Callable[[Json], Json] = _same, note: str = "") -> dict[str, _Move]:
    return dict.fromkeys(names.split(), _Move(target, convert, note))


_BASE = "model.base"
_MOVES: Mapping[str, _Move] = {
    **_moves("training.max_length", "max_seq_length max_seq_len sequence_len cutoff_len block_size"),
    **_moves("training.warmup_steps", "warmup_ratio", note="a number below 1 is the share of all steps"),
    **_moves("training.eval_strategy", "evaluation_strategy"),
    **_moves("training.per_device_train_batch_size", "per_gpu_train_batch_size micro_batch_size batch_size"),
    **_moves("training.per_device_eval_batch_size", "per_gpu_eval_batch_size eval_batch_size"),
    **_moves("training.num_train_epochs", "num_epochs epochs epoch_count"),
    **_moves("training.learning_rate", "lr"),
    **_moves("training.lr_scheduler_type", "lr_scheduler scheduler"),
    **_moves("training.optim", "optimizer"),
    **_moves("training.packing", "sample_packing neat_packing"),
    **_moves("training.eval_packing", "eval_sample_packing"),
    **_moves("training.use_liger_kernel", "enable_liger_kernel use_liger"),
    **_moves("training.completion_only_loss", "train_on_inputs train_on_prompt train_on_input", _inverted),
    **_moves("training.train_sampling_strategy", "group_by_length", lambda on: "group_by_length" if on else "random"),
    **_moves("training.gradient_checkpointing", "activation_checkpointing"),
    **_moves("training.gradient_checkpointing", "disable_gradient_checkpointing", _inverted),
    **_moves("training.bf16", "pure_bf16"),
    **_moves("adapter.r", "lora_r lora_rank rank adapter_size"),
    **_moves("adapter.lora_alpha", "alpha"),
    **_moves("adapter.lora_dropout", "dropout"),
    **_moves("adapter.target_modules", "lora_target_modules lora_target"),
    **_moves("adapter.target_modules", "lora_target_linear", _fixed("all-linear")),
    **_moves("adapter.modules_to_save", "lora_modules_to_save additional_target"),
    **_moves("adapter.target_parameters", "lora_target_parameters"),
    **_moves("adapter.rank_pattern", "lora_rank_pattern"),
    **_moves("adapter.alpha_pattern", "lora_alpha_pattern"),
    **_moves("adapter.use_rslora", "peft_use_rslora"),
    **_moves("adapter.use_dora", "peft_use_dora"),
    **_moves("adapter.init_lora_weights", "peft_init_lora_weights"),
    **_moves("adapter.init_lora_weights", "pissa_init", _fixed("pissa")),
    **_moves("adapter.method", "use_peft", lambda on: "lora" if on else "full"),
    **_moves("adapter.method", "finetuning_type"),
    **_moves("quantization.bnb_4bit_use_double_quant", "use_bnb_nested_quant double_quantization use_double_quant"),
    **_moves("quantization.bnb_4bit_quant_type", "quantization_type quant_type"),
    **_moves("quantization.bnb_4bit_compute_dtype", "compute_dtype bnb_4bit_compute_type", _dtype),
    **_moves("adapter.method", "load_in_4bit", lambda on: "qlora" if on else None, "it presets `quantization`"),
    **_moves("quantization.load_in_8bit", "load_in_8bit"),
    **_moves("adapter.method", "quantization_bit", lambda bits: "qlora" if bits == 4 else None),
    **_moves(_BASE, "model_name_or_path base_model model_name base_model_name_or_path"),
    **_moves("model.revision", "model_revision revision_of_model"),
    **_moves("model.attn_implementation", "flash_attention flash_attn", _fixed("flash_attention_2")),
    **_moves("model.chat_template", "chat_template_path chat_template_jinja"),
    **_moves("model.tokenizer", "tokenizer_name tokenizer_name_or_path"),
    **_moves("model.token_secret", "hf_token hub_token token", _fixed("projects/P/secrets/S/versions/V")),
    **_moves("data.train", "train_file dataset dataset_name dataset_path training_dataset_uri"),
    **_moves("data.eval", "validation_file eval_file test_datasets eval_dataset validation_dataset_uri"),
    **_moves("serving.engine.max_model_len", "max_model_length max_model_tokens"),
    **_moves("serving.engine.tensor_parallel_size", "tensor_parallel tp_size"),
    **_moves("serving.generation.max_tokens", "max_new_tokens max_output_tokens"),
    **_moves("serving.generation.stop", "stop_sequences"),
    **_moves("serving.min_replica_count", "min_replicas"),
    **_moves("serving.max_replica_count", "max_replicas"),
    **_moves("serving.autoscaling_metric_specs", "autoscaling"),
    **_moves("run.machine.boot_disk_size_gb", "boot_disk_size boot_disk_gb"),
    **_moves("run.scheduling.restart_job_on_worker_restart", "restart"),
    **_moves("run.encryption_spec.kms_key_name", "kms_key encryption_spec_key_name"),
    "overwrite_output_dir": _Move("", note="Loraform gives every run a folder of its own"),
    "no_cuda": _Move("", note="the trainer uses what the machine has"),
    "logging_dir": _Move("", note="Loraform sets where TensorBoard events go"),
    "torch_dtype": _Move("training.bf16", lambda value: _dtype(value) == "bfloat16", "precision is bf16 or fp16"),
    "dtype": _Move("training.bf16", lambda value: _dtype(value) == "bfloat16", "precision is bf16 or fp16"),
    "peft_config": _Move("adapter"),
    "lora": _Move("adapter"),
    "lora_config": _Move("adapter"),
    "sft_config": _Move("training"),
    "training_args": _Move("training"),
    "bnb_config": _Move("quantization"),
    "eval": _Move("evaluation"),
    "resources": _Move("run.machine"),
}


def today(path: tuple[str, ...], value: Json) -> Today | None:
    """What the key at `path` is called today, with `value` converted; None for names that nobody has used."""
    move = _MOVES.get(path[-1])
    if move is None or move.path == ".".join(path):
        return None
    converted = move.convert(value) if move.convert is not None else None
    target = move.path
    block = path[0]
    if block == "serving" and path[-1] in ("dtype", "torch_dtype"):
        return Today("serving.engine.dtype", _dtype(value))
    return Today(target, converted, move.note)


def names() -> tuple[str, ...]:
    """Every name of the table."""
    return tuple(sorted(_MOVES))
