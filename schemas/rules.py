"""What must hold between the fields of an experiment. Each rule yields findings; none stops another.

Rules know the manifest and nothing else: no repository, no target. What the libraries would refuse after an hour of
waiting for a machine is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import NamedTuple

from schemas import gate
from schemas.effects import Json
from schemas.experiment import Experiment
from schemas.keys import Keys

Path = tuple[str | int, ...]
MAX_RANK = 512
COMMIT = re.compile(r"[0-9a-f]{40}")


class Finding(NamedTuple):
    """A rule that a manifest breaks, at a path in it."""

    path: Path
    rule: str
    message: str
    remedy: str = ""
    warning: bool = False
    absent: Path = ()
    """The path whose absence is the mistake: nothing is said about it where its value is wrong by itself."""


def findings(experiment: Experiment) -> Iterator[Finding]:
    """Everything that is wrong between the fields, in the order of the blocks."""
    for rule in _RULES:
        yield from rule(experiment)


def _method(it: Experiment) -> Iterator[Finding]:
    if it.method == "full":
        for key in it.adapter:
            yield Finding(
                ("adapter", key),
                "method-full",
                f"`method: full` trains all weights and makes no adapter: `adapter.{key}` has no meaning",
                "Delete it, or write `method: lora`.",
            )
        for key in it.quantization:
            yield Finding(
                ("quantization", key),
                "method-full",
                "`method: full` cannot train quantised weights",
                "Delete the block, or write `method: qlora`.",
            )


def _quantization(it: Experiment) -> Iterator[Finding]:
    given, effective = it.quantization, it.effective_quantization
    four, eight = effective.get("load_in_4bit"), effective.get("load_in_8bit")
    if it.method == "qlora" and not four:
        yield Finding(
            ("quantization", "load_in_4bit"),
            "qlora-4bit",
            "`method: qlora` trains on a 4-bit base, and the block says `load_in_4bit: false`",
            "Delete the line, or write `method: lora`.",
        )
    if it.method == "lora" and four:
        yield Finding(
            ("quantization", "load_in_4bit"),
            "qlora-4bit",
            "LoRA on a 4-bit base is called `method: qlora` here",
            "Write `method: qlora` under `adapter`; it presets NF4 with double quantisation.",
        )
    if four and eight:
        yield Finding(
            ("quantization", "load_in_8bit"),
            "quantization",
            "a base is loaded in 4 bits or in 8, not both",
            "Keep one.",
        )
    if it.method != "full" and not four:
        for key in given:
            if key.startswith("bnb_4bit_"):
                yield Finding(
                    ("quantization", key),
                    "quantization",
                    f"`{key}` has no meaning without 4-bit weights",
                    "Write `method: qlora` under `adapter`, or delete it.",
                )


def _adapter(it: Experiment) -> Iterator[Finding]:
    """What vLLM would refuse to load beside its base. Merged into it, all of these serve."""
    if it.serving is None or it.method == "full" or it.serving.form != "adapter":
        return
    adapter = it.adapter
    ranks: dict[Path, Json] = {("adapter", "r"): adapter.effective("r")}
    pattern = adapter.get("rank_pattern")
    if isinstance(pattern, dict):
        ranks |= {("adapter", "rank_pattern", key): rank for key, rank in pattern.items()}
    refused: list[tuple[Path, str]] = [
        (path, f"rank {rank} is above {MAX_RANK}, the largest that vLLM serves")
        for path, rank in ranks.items()
        if isinstance(rank, int) and rank > MAX_RANK
    ]
    if adapter.get("use_dora"):
        refused.append((("adapter", "use_dora"), "vLLM cannot serve a DoRA adapter"))
    if adapter.get("bias", "none") != "none":
        refused.append((("adapter", "bias"), "vLLM cannot serve an adapter with trained biases"))
    if adapter.get("lora_bias"):
        refused.append((("adapter", "lora_bias"), "vLLM cannot serve an adapter with trained biases"))
    saved = adapter.get("modules_to_save")
    others = [name for name in saved if name not in ("classifier", "score")] if isinstance(saved, list) else []
    if others:
        refused.append((("adapter", "modules_to_save"), f"vLLM cannot serve an adapter that replaces {others[0]}"))
    refused += [
        (("adapter", key), f"vLLM cannot serve an adapter with `{key}`")
        for key in ("trainable_token_indices", "layer_replication", "alora_invocation_tokens", "use_bdlora")
        if adapter.get(key)
    ]
    for path, message in refused:
        yield Finding(path, "not-servable", message, "Write `form: merged` under `serving`, or train without it.")


def _training(it: Experiment) -> Iterator[Finding]:
    training = it.training
    if training.get("bf16") and training.get("fp16"):
        yield Finding(("training", "fp16"), "precision", "bf16 and fp16 exclude each other", "Keep one of them.")
    if it.data.eval is None:
        for key, off in (("eval_strategy", "no"), ("load_best_model_at_end", False), ("eval_on_start", False)):
            if training.get(key, off) != off:
                yield Finding(
                    ("training", key),
                    "eval-missing",
                    f"`{key}` needs rows to evaluate on",
                    "Name them in `data.eval`.",
                    absent=("data", "eval"),
                )
    best = training.get("load_best_model_at_end")
    if best and training.effective("eval_strategy") != training.effective("save_strategy"):
        yield Finding(
            ("training", "load_best_model_at_end"),
            "best-checkpoint",
            "the best checkpoint can only be chosen among those that are evaluated",
            "Give `eval_strategy` and `save_strategy` the same value.",
        )
    if training.get("assistant_only_loss") and it.data.format == "text":
        yield Finding(
            ("training", "assistant_only_loss"),
            "loss-mask",
            "plain text has no answers that the loss could be limited to",
            "Delete it, or use data with turns (`format: messages`).",
        )
    if training.get("assistant_only_loss") and training.get("completion_only_loss"):
        yield Finding(
            ("training", "completion_only_loss"),
            "loss-mask",
            "assistant_only_loss and completion_only_loss exclude each other",
            "Keep one of them.",
        )
    if training.get("packing") and "max_length" in training and training["max_length"] is None:
        yield Finding(
            ("training", "packing"), "packing", "packing fills sequences up to `max_length`, which is null", "Set it."
        )
    flash = (it.model.attn_implementation or "").startswith(("flash_attention", "kernels-community"))
    for key in ("packing", "padding_free"):
        if training.get(key) and not flash:
            yield Finding(
                ("training", key),
                "packing",
                f"with `{key}`, rows in one sequence see each other unless attention knows where each begins",
                "Write `attn_implementation: flash_attention_2` under `model`.",
                warning=True,
            )


def _bounds(it: Experiment) -> Iterator[Finding]:
    blocks: list[tuple[tuple[str, ...], Keys]] = [(("adapter",), it.adapter), (("training",), it.training)]
    if it.serving is not None:
        blocks += [(("serving", "engine"), it.serving.engine), (("serving", "generation"), it.serving.generation)]
    for prefix, block in blocks:
        for key, value in block.items():
            bound = _BOUNDS.get(f"{prefix[-1]}.{key}")
            if bound is not None and isinstance(value, (int, float)) and not bound.holds(value):
                yield Finding((*prefix, key), "range", f"`{key}` must be {bound.words}; this is {value}")


class _Bound(NamedTuple):
    words: str
    holds: Callable[[float], bool]


_ABOVE_ZERO = _Bound("above 0", lambda x: x > 0)
_SHARE = _Bound("at least 0 and below 1", lambda x: 0 <= x < 1)
_ONE = _Bound("at least 1", lambda x: x >= 1)
_ZERO = _Bound("at least 0", lambda x: x >= 0)
_BOUNDS: dict[str, _Bound] = {
    **dict.fromkeys(("adapter.r", "adapter.lora_alpha"), _ONE),
    "adapter.lora_dropout": _SHARE,
    **dict.fromkeys(("training.learning_rate", "training.num_train_epochs", "training.max_length"), _ABOVE_ZERO),
    **dict.fromkeys(("training.warmup_steps", "training.weight_decay", "training.seed"), _ZERO),
    **dict.fromkeys(("training.per_device_train_batch_size", "training.per_device_eval_batch_size"), _ONE),
    "training.gradient_accumulation_steps": _ONE,
    **dict.fromkeys(("engine.max_model_len", "engine.tensor_parallel_size", "generation.max_tokens"), _ONE),
    "engine.gpu_memory_utilization": _Bound("above 0 and at most 1", lambda x: 0 < x <= 1),
    "generation.temperature": _ZERO,
    "generation.top_p": _Bound("above 0 and at most 1", lambda x: 0 < x <= 1),
}


def _run(it: Experiment) -> Iterator[Finding]:
    run = it.run
    yield from _machine(("run", "machine"), run.machine.accelerator_type, run.machine.accelerator_count)
    if run.scheduling.max_wait_duration and "flex_start" not in run.scheduling.strategy:
        yield Finding(
            ("run", "scheduling", "max_wait_duration"),
            "scheduling",
            "only the strategy flex_start waits for machines",
            "Delete it, or add flex_start to `strategy`.",
        )
    if len(set(run.scheduling.strategy)) < len(run.scheduling.strategy):
        yield Finding(("run", "scheduling", "strategy"), "scheduling", "a strategy stands twice in the ladder")
    if run.tensorboard and not run.service_account:
        yield Finding(
            ("run", "tensorboard"),
            "tensorboard",
            "Vertex AI writes to a TensorBoard only under a service account of the job's own",
            "Name one in `run.service_account`.",
            absent=("run", "service_account"),
        )


def _machine(path: Path, accelerator: str | None, count: int) -> Iterator[Finding]:
    if accelerator is None and count:
        yield Finding(
            (*path, "accelerator_count"),
            "accelerator",
            "how many of what? `accelerator_type` is missing",
            absent=(*path, "accelerator_type"),
        )
    if accelerator is not None and not count:
        yield Finding(
            (*path, "accelerator_type"),
            "accelerator",
            f"how many {accelerator}? `accelerator_count` is missing or 0",
            absent=(*path, "accelerator_count"),
        )


def _evaluation(it: Experiment) -> Iterator[Finding]:
    known = [*gate.ALWAYS, *it.evaluation.metrics]
    if it.data.eval is None:
        for key in ("metrics", "gate"):
            if getattr(it.evaluation, key):
                yield Finding(
                    ("evaluation", key),
                    "eval-missing",
                    f"`{key}` needs rows to evaluate on",
                    "Name them in `data.eval`.",
                    absent=("data", "eval"),
                )
    for index, rule in enumerate(it.evaluation.gate):
        parsed = gate.parse(rule.expr)
        if parsed is not None and parsed.metric not in known:
            near = get_close_matches(parsed.metric, known, 1, 0.6)
            hint = f"Did you mean `{near[0]}`? " if near else ""
            yield Finding(
                ("evaluation", "gate", index),
                "gate-metric",
                f"nothing measures `{parsed.metric}`",
                f"{hint}Add it to `evaluation.metrics`; always there are {', '.join(gate.ALWAYS)}.",
                absent=("evaluation", "metrics"),
            )


def _serving(it: Experiment) -> Iterator[Finding]:
    serving = it.serving
    if serving is None:
        return
    if serving.endpoint is not None:
        for key in sorted(serving.model_fields_set - {"endpoint", "generation", "rollout", "protect", "labels"}):
            yield Finding(
                ("serving", key),
                "shared-endpoint",
                f"`{key}` is the shared endpoint's to say: {serving.endpoint}",
                "Write it into that Endpoint's manifest.",
            )
        return
    yield from _machine(("serving", "machine"), serving.machine.accelerator_type, serving.machine.accelerator_count)
    low, high = serving.replicas
    if high < low:
        yield Finding(
            ("serving", "max_replica_count"),
            "replicas",
            f"max_replica_count {high} is below min_replica_count {low}",
        )
    if serving.required_replica_count is not None and serving.required_replica_count > low:
        yield Finding(
            ("serving", "required_replica_count"),
            "replicas",
            f"required_replica_count {serving.required_replica_count} is above min_replica_count {low}",
        )
    if it.method == "full" and serving.form == "adapter" and "form" in serving.model_fields_set:
        yield Finding(
            ("serving", "form"), "method-full", "`method: full` makes no adapter that could serve", "Delete the line."
        )
    steps = serving.rollout.steps
    if list(steps) != sorted(set(steps)) or steps[-1] != 100:
        yield Finding(("serving", "rollout", "steps"), "rollout", "steps rise, and the last one is 100")
    length, learnt = serving.engine.get("max_model_len"), it.training.effective("max_length")
    if isinstance(length, int) and isinstance(learnt, int) and length < learnt and "max_length" in it.training:
        yield Finding(
            ("serving", "engine", "max_model_len"),
            "context-length",
            f"it serves {length} tokens and was trained on rows of up to {learnt}",
            "Raise `serving.engine.max_model_len`, or lower `training.max_length`.",
            warning=True,
        )


def _names(it: Experiment) -> Iterator[Finding]:
    if it.moved_from == it.name:
        yield Finding(("moved_from",), "moved-from", "an experiment cannot have moved from its own name", "Delete it.")


def _not_yet(it: Experiment) -> Iterator[Finding]:
    later: list[tuple[Path, bool, str]] = [
        (("run", "backend"), it.run.backend != "custom_job", f"`backend: {it.run.backend}`"),
        (("data", "template"), it.data.template is not None, "`data.template`"),
        (("evaluation", "machine"), it.evaluation.machine is not None, "`evaluation.machine`"),
    ]
    if it.serving is not None:
        later += [
            (("serving", "endpoint"), it.serving.endpoint is not None, "joining a shared endpoint"),
            (("serving", "form"), it.serving.form == "merged", "`form: merged`"),
        ]
    for path, given, what in later:
        if given:
            yield Finding(path, "not-yet", f"{what} is valid, and this version cannot carry it out yet", _INSTEAD[path])


_INSTEAD: dict[Path, str] = {
    ("run", "backend"): "Write `backend: custom_job`.",
    ("data", "template"): "Bring the rows into one of the formats of `data.format`.",
    ("evaluation", "machine"): "Delete it: the evaluation runs in the training job.",
    ("serving", "endpoint"): "Give the experiment an endpoint of its own: `serving: {machine: ...}`.",
    ("serving", "form"): "Write `form: adapter`.",
}

_RULES: tuple[Callable[[Experiment], Iterator[Finding]], ...] = (
    _names,
    _method,
    _quantization,
    _adapter,
    _training,
    _bounds,
    _run,
    _evaluation,
    _serving,
    _not_yet,
)
