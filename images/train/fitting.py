"""The training itself: trl's SFTTrainer on ready rows, told step by step, stopped when the lock is lost.

A loss that is no number ends the run. What else the libraries raise is translated in `failures.py`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images.train.beginning import keep_beginning
from images.train.dataset import Rows
from images.train.failures import Diverged, SpecInvalid
from images.train.masks import IGNORED, Encoded
from images.train.packed import refuse_mixed_rows
from images.train.progress import Progress
from images.train.resume import Resumed
from images.train.towers import leave_towers_alone

FEW_STEPS = 100


@dataclass(frozen=True, slots=True)
class Fitted:
    """A finished training. `seconds` is from the first to the last step; `metrics` is the loss of the training."""

    trainer: Any
    metrics: dict[str, float]
    steps: int
    effective_batch: int
    seconds: float


def expected_steps(rows: int, training: dict[str, Any], processes: int = 1) -> int:
    """Optimiser steps of an unpacked run of so many processes, from trl's keys."""
    if int(training.get("max_steps", -1)) > 0:
        return int(training["max_steps"])
    batches = math.ceil(rows / (processes * int(training.get("per_device_train_batch_size", 8))))
    each = math.ceil(batches / int(training.get("gradient_accumulation_steps", 1)))
    return math.ceil(each * float(training.get("num_train_epochs", 3)))


def fit(
    model: Any,
    tokenizer: Any,
    rows: Rows,
    config: Any,
    peft_config: Any,
    progress: Progress,
    check: Callable[[], None],
    further: Sequence[Any] = (),
    resumed: Resumed | None = None,
) -> Fitted:
    """Train, from `resumed` on. `check` is called after every step and may raise to stop; `further` are more callbacks
    of the trainer.
    """
    from transformers import PrinterCallback
    from trl import SFTTrainer

    if peft_config is not None:
        leave_towers_alone(model, peft_config)
    try:
        trainer = SFTTrainer(
            model=model,
            args=config,
            train_dataset=_dataset(rows.train),
            eval_dataset=_dataset(rows.eval) if rows.eval else None,
            processing_class=tokenizer,
            peft_config=peft_config,
        )
    except (ValueError, TypeError, ImportError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "is not installed" not in str(error) and "requires" not in str(error):
            raise
        said = " ".join(str(error).split())[:300]
        raise SpecInvalid(f"trl refuses these settings: {said}", "Mend `adapter` or `training`.") from error
    keep_beginning(trainer.model, Path(config.output_dir).parent)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_teller(progress, check))
    for callback in further:
        trainer.add_callback(callback)
    if config.use_cpu:
        _keep_adapters_precise(trainer.model)
    if config.packing or config.padding_free:
        refuse_mixed_rows(trainer.model, rows.train)
    resumed = resumed or Resumed()
    batch = config.per_device_train_batch_size * config.gradient_accumulation_steps * config.world_size
    steps = _tell_size(trainer, rows, batch, progress)
    progress.say("phase", phase="training")
    started = time.monotonic()
    result = trainer.train(resume_from_checkpoint=str(resumed.folder) if resumed.folder else None)
    seconds = time.monotonic() - started + resumed.seconds
    loss = resumed.loss(float(result.metrics["train_loss"]), result.global_step)
    if not math.isfinite(loss):
        raise _diverged("train_loss")
    return Fitted(trainer, {"train_loss": loss}, steps, batch, seconds)


def _dataset(rows: Sequence[Encoded]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "input_ids": [list(row.input_ids) for row in rows],
            "labels": [list(row.labels) for row in rows],
        }
    )


def _tell_size(trainer: Any, rows: Rows, batch: int, progress: Progress) -> int:
    config = trainer.args
    sequences = len(trainer.train_dataset)
    steps = expected_steps(sequences, config.to_dict(), config.world_size)
    progress.say(
        "data",
        train_rows=len(rows.train),
        eval_rows=len(rows.eval),
        train_tokens=rows.tokens,
        learnt_tokens=sum(label != IGNORED for row in rows.train for label in row.labels),
        longest_row=rows.longest,
        sequences=sequences,
        effective_batch=batch,
        steps=steps,
        epochs=float(config.num_train_epochs),
    )
    if steps < FEW_STEPS:
        progress.note(f"only {steps} optimiser steps: more epochs or a smaller batch may be wanted")
    return steps


def _keep_adapters_precise(model: Any) -> None:
    """On a CPU bfloat16 saves no time and costs precision: undo trl's cast of QLoRA's adapters."""
    import torch

    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype == torch.bfloat16:
            parameter.data = parameter.data.to(torch.float32)


def _teller(progress: Progress, check: Callable[[], None]) -> Any:
    """A trainer callback that turns the trainer's logs into events."""
    from transformers import TrainerCallback

    began: list[float] = []

    def on_train_begin(_: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        began.append(time.monotonic())

    def on_step_end(_: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        check()

    def on_log(_: Any, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if logs and "eval_loss" in logs:
            progress.say("evaluation", step=state.global_step, **_kept(logs, "eval_"))
        if not logs or "loss" not in logs:
            return
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise _diverged(f"The training loss at step {state.global_step}")
        spent = time.monotonic() - began[-1]
        left = spent / max(1, state.global_step) * (state.max_steps - state.global_step)
        progress.say(
            "step",
            step=state.global_step,
            steps=state.max_steps,
            epoch=float(state.epoch or 0.0),
            loss=loss,
            learning_rate=logs.get("learning_rate"),
            seconds=round(spent, 3),
            eta_seconds=round(left, 1),
            **_kept(logs, ""),
        )

    heard = {"on_train_begin": on_train_begin, "on_step_end": on_step_end, "on_log": on_log}
    return type("Teller", (TrainerCallback,), heard)()


def _kept(logs: dict[str, Any], prefix: str) -> dict[str, Any]:
    """What trl counts beside the loss."""
    names = [f"{prefix}{name}" for name in ("mean_token_accuracy", "num_tokens")]
    return {name: logs[name] for name in (*names, "eval_loss") if name in logs}


def _diverged(what: str) -> Diverged:
    return Diverged(f"{what} is not a number: the training diverged", "Lower learning_rate, or add warmup_steps.")
