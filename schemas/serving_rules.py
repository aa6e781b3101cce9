"""Rules about where it runs and how it serves: machines, scheduling, replicas, what vLLM can load."""

from __future__ import annotations

from collections.abc import Iterator

from schemas import methods
from schemas.effects import Json
from schemas.experiment import Experiment
from schemas.finding import Finding, Path
from schemas.vllm_lora import servable

MAX_RANK = servable().ranks[-1]
"""The largest rank that vLLM serves."""


def adapter(it: Experiment) -> Iterator[Finding]:
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
    if methods.splits_base(adapter.get("init_lora_weights")):
        refused += [
            (
                path,
                f"what began as a part of its base has twice its rank, {2 * rank}: vLLM serves {MAX_RANK}",
            )
            for path, rank in ranks.items()
            if isinstance(rank, int) and rank <= MAX_RANK < 2 * rank
        ]
    for path, message in refused:
        yield Finding(path, "not-servable", message, "Write `form: merged` under `serving`, or train without it.")


def run(it: Experiment) -> Iterator[Finding]:
    """Machines and scheduling of the training."""
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
    if len(set(run.regions)) < len(run.regions):
        yield Finding(("run", "regions"), "regions", "a region stands twice", "Keep one of them.")
    if len(run.regions) > 1:
        for key in ("encryption_spec", "tensorboard", "persistent_resource_id"):
            if getattr(run, key):
                yield Finding(
                    ("run", key),
                    "regions",
                    f"`{key}` belongs to one region, and this run may go to {len(run.regions)}",
                    "Delete it, or keep one region in `run.regions`.",
                )
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


def serving(it: Experiment) -> Iterator[Finding]:
    """Replicas, roll-out, and what a shared endpoint decides."""
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
