"""Recipes of axolotl: what its keys become in a manifest. Its schema names more keys than are common; all are told.

What a key means beside others is in `axolotl_rows.py` (the data); reasons for what has no place in `axolotl_left.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.core.resources import Json
from reconciler.recipes.axolotl_left import LEFT
from reconciler.recipes.axolotl_rows import rows_of
from reconciler.recipes.carry import (
    Imported,
    Left,
    NotSupervised,
    Outcome,
    Put,
    Rule,
    carried,
    left,
    number,
    one_of,
    table_of,
    to,
    unless_off,
)
from schemas.keys import table


def read_axolotl(recipe: Mapping[str, Json]) -> Imported:
    """The manifest of a recipe. Raises NotSupervised for preference, reward and reinforcement recipes."""
    for key in ("rl", "reward_model", "process_reward_model", "pretraining_dataset"):
        if recipe.get(key):
            raise NotSupervised(
                f"`{key}: {recipe[key] if key == 'rl' else '...'}` is no supervised fine-tuning.",
                "Loraform trains with trl's SFTTrainer; keep such a recipe with its own trainer.",
            )
    adapter = recipe.get("adapter")
    if adapter not in (None, "lora", "qlora"):
        raise NotSupervised(f"`adapter: {adapter}` is none that Loraform trains.", "Use lora, qlora, or none at all.")
    rules: dict[str, Rule] = {**table_of(LEFT), **_RULES}
    return carried(recipe, rules, (*rows_of(recipe), *_method(recipe)), _DEFAULTS)


def _method(recipe: Mapping[str, Json]) -> list[tuple[str, Outcome]]:
    """`adapter`, 4 and 8 bits: together they are our method."""
    adapter, four, eight = (recipe.get(key) for key in ("adapter", "load_in_4bit", "load_in_8bit"))
    if adapter is None:
        return [("adapter", Put("adapter.method", "full", "without an adapter all weights are trained"))]
    found: list[tuple[str, Outcome]] = []
    if adapter == "qlora" or four:
        said = "" if adapter == "qlora" else "LoRA on a 4-bit base is called qlora here"
        found.append(("adapter", Put("adapter.method", "qlora", said)))
        if four is not None:
            found.append(("load_in_4bit", Put("adapter.method", "qlora")))
        if eight is not None:
            found.append(("load_in_8bit", Left("the base is loaded in 4 bits")))
        return found
    found.append(("adapter", Put("adapter.method", "lora")))
    if four is not None:
        found.append(("load_in_4bit", Left("off, as here without qlora")))
    if eight is not None:
        eight_bits = Put("quantization.load_in_8bit", True) if eight else Left("off, as here")
        found.append(("load_in_8bit", eight_bits))
    return found


def _warmup_ratio(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    if recipe.get("warmup_steps"):
        return Left("`warmup_steps` is given too, and counts")
    return Put("training.warmup_steps", number(value), "a number below 1 is the share of all steps")


def _per_epoch(what: str) -> Rule:
    """So often in an epoch: transformers takes the share of all steps between two times."""

    def rule(value: Json, recipe: Mapping[str, Json]) -> Outcome:
        times, epochs = number(value), number(recipe.get("num_epochs") or 1)
        if not isinstance(times, (int, float)) or not isinstance(epochs, (int, float)) or times <= 0 or epochs <= 0:
            return Left("none in an epoch")
        if what == "eval" and not _judged(recipe):
            return Left("there are no eval rows")
        share = Put(f"training.{what}_steps", round(1 / (times * epochs), 6), "the share of all steps between two")
        return Put(f"training.{what}_strategy", "steps"), share

    return rule


def _eval_steps(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    if not _judged(recipe):
        return Left("there are no eval rows")
    return Put("training.eval_strategy", "steps"), Put("training.eval_steps", number(value))


def _eval_strategy(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    if value != "no" and not _judged(recipe):
        return Left("there are no eval rows")
    return Put("training.eval_strategy", value)


def _judged(recipe: Mapping[str, Json]) -> bool:
    return bool(recipe.get("val_set_size") or recipe.get("test_datasets"))


def _batch_size(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    each, total = number(recipe.get("micro_batch_size") or 1), number(value)
    if recipe.get("gradient_accumulation_steps") or not isinstance(each, int) or not isinstance(total, int):
        return Left("`gradient_accumulation_steps` is given too, and counts")
    said = "the rows of one step, in micro batches"
    return Put("training.gradient_accumulation_steps", max(1, total // each), said)


def _bf16(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    if value == "auto":
        return Left("the trainer takes bfloat16 wherever the hardware has it")
    return Put("training.bf16", value == "full" or value)


def _checkpointing(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    if isinstance(value, bool):
        return Put("training.gradient_checkpointing", value)
    offload = Put("training.activation_offloading", True, "activations go to the CPU")
    return Put("training.gradient_checkpointing", True), offload


def _targets(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    if recipe.get("lora_target_linear"):
        return Left("`lora_target_linear` takes all linear layers")
    return Put("adapter.target_modules", value)


def _peft(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    loftq = value.get("loftq_config") if isinstance(value, Mapping) else None
    if not isinstance(loftq, Mapping):
        return Left("LoftQ alone is told in it, and is not")
    return Put("adapter.init_lora_weights", "loftq"), Put("adapter.loftq_config", dict(loftq))


def _bits_and_bytes(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    known = table()["quantization"].keys
    if not isinstance(value, Mapping):
        return Left("a mapping of BitsAndBytesConfig's keys is wanted")
    return tuple(
        Put(f"quantization.{key}", part) if key in known else Left(f"`{key}` is none of BitsAndBytesConfig's")
        for key, part in value.items()
    )


def _special_tokens(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    if not isinstance(value, Mapping):
        return Left("a mapping of tokens is wanted")
    known = {"eos_token": lambda token: Put("training.eos_token", token)}
    found: list[Put | Left] = []
    for key, token in value.items():
        if token is None:
            continue
        why = "the tokenizer's own counts; the trainer pads with the end of turn where there is none"
        found.append(known[key](token) if key in known else Left(f"`{key}: {token}`: {why}"))
    return tuple(found) or Left("it names no token")


def _plugins(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    names = value if isinstance(value, list) else [value]
    return tuple(
        Put("training.use_liger_kernel", True)
        if "liger" in str(name).lower()
        else Left("trl computes the loss in chunks by itself")
        if "cut_cross_entropy" in str(name).lower()
        else Left(f"{name} is axolotl's own")
        for name in names
    )


def _liger(name: str) -> Rule:
    def rule(value: Json, recipe: Mapping[str, Json]) -> Outcome:
        return Put("training.use_liger_kernel", True), Put(f"training.liger_kernel_config.{name}", bool(value))

    return rule


def _chat_template(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    text = recipe.get("chat_template_jinja")
    if value == "jinja" and text:
        return Put("model.chat_template", text)
    if value in ("tokenizer_default", "jinja"):
        return Left("the base's own template is used, as here")
    return Left(f"axolotl's own `{value}` is not shipped: the base's own counts; else name a file, model.chat_template")


def _least_rate(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    rate = Put("training.lr_scheduler_kwargs.min_lr_rate", number(value))
    return Put("training.lr_scheduler_type", "cosine_with_min_lr", "cosine down to a share of the rate"), rate


def _scheduler(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    if recipe.get("cosine_min_lr_ratio") and value == "cosine":
        return Left("told by `cosine_min_lr_ratio`: cosine_with_min_lr")
    return one_of("training.lr_scheduler_type", "linear is used")(value, recipe)


_FLASH = "flash_attention_2"
_SAME = (
    "seed", "save_total_limit", "save_only_model", "logging_steps", "load_best_model_at_end", "metric_for_best_model",
    "greater_is_better", "torch_compile_backend", "torch_compile_mode", "dataloader_num_workers",
    "dataloader_pin_memory", "dataloader_prefetch_factor", "dataloader_drop_last", "accelerator_config",
    "auto_find_batch_size", "ddp_timeout", "torch_empty_cache_steps", "pad_to_multiple_of",
)  # fmt: skip
_RULES: Mapping[str, Rule] = {
    "base_model": to("model.base"),
    "revision_of_model": to("model.revision"),
    "tokenizer_config": to("model.tokenizer"),
    "trust_remote_code": unless_off(to("model.trust_remote_code"), "off, as here"),
    "attn_implementation": to("model.attn_implementation"),
    "flash_attention": unless_off(to("model.attn_implementation", lambda _: _FLASH), "off, as here"),
    "sdp_attention": unless_off(to("model.attn_implementation", lambda _: "sdpa"), "off, as here"),
    "eager_attention": unless_off(to("model.attn_implementation", lambda _: "eager"), "off, as here"),
    "flex_attention": unless_off(to("model.attn_implementation", lambda _: "flex_attention"), "off, as here"),
    "chat_template": _chat_template,
    "chat_template_jinja": lambda value, recipe: (
        Left("told by `chat_template: jinja`")
        if recipe.get("chat_template") == "jinja"
        else Put("model.chat_template", value)
    ),
    "lora_r": to("adapter.r", number),
    "lora_alpha": to("adapter.lora_alpha", number),
    "lora_dropout": to("adapter.lora_dropout", number),
    "lora_target_modules": _targets,
    "lora_target_linear": unless_off(to("adapter.target_modules", lambda _: "all-linear"), "off, as here"),
    "lora_target_parameters": to("adapter.target_parameters"),
    "lora_modules_to_save": to("adapter.modules_to_save"),
    "lora_fan_in_fan_out": unless_off(to("adapter.fan_in_fan_out"), "off, as here"),
    "lora_rank_pattern": to("adapter.rank_pattern"),
    "lora_alpha_pattern": to("adapter.alpha_pattern"),
    "peft_layers_to_transform": to("adapter.layers_to_transform"),
    "peft_layers_pattern": to("adapter.layers_pattern"),
    "peft_use_dora": to("adapter.use_dora"),
    "peft_use_rslora": to("adapter.use_rslora"),
    "peft_layer_replication": to("adapter.layer_replication"),
    "peft_init_lora_weights": to("adapter.init_lora_weights"),
    "peft_trainable_token_indices": to("adapter.trainable_token_indices"),
    "peft_ensure_weight_tying": to("adapter.ensure_weight_tying"),
    "peft": _peft,
    "bnb_config_kwargs": _bits_and_bytes,
    "micro_batch_size": to("training.per_device_train_batch_size", number),
    "batch_size": _batch_size,
    "eval_batch_size": to("training.per_device_eval_batch_size", number),
    "gradient_accumulation_steps": to("training.gradient_accumulation_steps", number),
    "num_epochs": to("training.num_train_epochs", number),
    "max_steps": to("training.max_steps", number),
    "learning_rate": to("training.learning_rate", number),
    "weight_decay": to("training.weight_decay", number),
    "max_grad_norm": to("training.max_grad_norm", number),
    "optimizer": one_of("training.optim", "adamw_torch_fused is used"),
    "optim_args": to("training.optim_args"),
    "optim_target_modules": to("training.optim_target_modules"),
    "lr_scheduler": _scheduler,
    "lr_scheduler_kwargs": to("training.lr_scheduler_kwargs"),
    "cosine_min_lr_ratio": _least_rate,
    "warmup_ratio": _warmup_ratio,
    "warmup_steps": to("training.warmup_steps", number),
    **{key: to(f"training.{key}", number) for key in ("adam_beta1", "adam_beta2", "adam_epsilon")},
    "sequence_len": to("training.max_length", number),
    "excess_length_strategy": to("data.on_long_row", lambda word: "fail" if word == "raise" else word),
    "sample_packing": unless_off(to("training.packing"), "off, as here"),
    "eval_sample_packing": to("training.eval_packing"),
    "batch_flattening": unless_off(to("training.padding_free", lambda _: True), "off, as here"),
    "group_by_length": unless_off(to("training.train_sampling_strategy", lambda _: "group_by_length"), "off, as here"),
    "train_on_inputs": to("training.assistant_only_loss", lambda on: not on, "the other way round"),
    "bf16": _bf16,
    "fp16": unless_off(to("training.fp16"), "off, as here"),
    "tf32": lambda value, _: Left("set by the hardware") if value == "auto" else Put("training.tf32", value),
    "gradient_checkpointing": _checkpointing,
    "gradient_checkpointing_kwargs": to("training.gradient_checkpointing_kwargs"),
    "activation_offloading": lambda value, _: Put("training.activation_offloading", bool(value)),
    "neftune_noise_alpha": to("training.neftune_noise_alpha", number),
    "eval_steps": _eval_steps,
    "evals_per_epoch": _per_epoch("eval"),
    "eval_strategy": _eval_strategy,
    "save_steps": to("training.save_steps", number),
    "saves_per_epoch": _per_epoch("save"),
    "save_strategy": to("training.save_strategy"),
    "plugins": _plugins,
    "special_tokens": _special_tokens,
    "torch_compile": lambda value, _: (
        Left("off unless asked for") if value == "auto" else Put("training.torch_compile", value)
    ),
    **{f"liger_{name}": _liger(name) for name in ("rope", "rms_norm", "cross_entropy", "fused_linear_cross_entropy")},
    "liger_glu_activation": _liger("swiglu"),
    **{key: to(f"training.{key}") for key in _SAME},
    "dataset_exact_deduplication": to("data.deduplicate"),
    "lora_model_dir": left("continuing from another adapter: not possible here yet"),
    "early_stopping_patience": left("early stopping: not possible here yet; `load_best_model_at_end` keeps the best"),
}
_DEFAULTS = (
    Put("training.per_device_train_batch_size", 1, "axolotl's default"),
    Put("training.num_train_epochs", 1.0, "axolotl's default"),
    Put("training.max_length", 512, "axolotl's default"),
    Put("training.lr_scheduler_type", "cosine", "axolotl's default"),
    Put("training.gradient_checkpointing", False, "axolotl's default"),
    Put("data.on_long_row", "drop", "axolotl's default"),
)
