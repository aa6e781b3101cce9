"""What a manifest has to say instead, after a failure: the fields to set, and what setting them brings about.

Each answer keeps the identity where it can, so that a run need not begin as another one. Where nothing in the manifest
is wrong (a right to grant, an image to push) all that can be set is `run.attempt`, once that is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from reconciler.core.resources import Cause, Failure, Json, Role
from reconciler.repo.edits import Path
from reconciler.repo.machines import Choice, more_gpu_memory, more_memory
from schemas.experiment import Experiment
from schemas.machine import Machine
from schemas.primitives import seconds

WEEK = 7 * 86_400
"""Seconds that Vertex AI lets a job run at most."""
LONGEST_START = 7_200
"""Seconds that Vertex AI waits at most for a server to become healthy."""


@dataclass(frozen=True, slots=True)
class Mending:
    """Fields to set, in order, and why this helps. `afterwards`: something else has to be done first."""

    fields: tuple[tuple[Path, Json], ...]
    why: str
    afterwards: bool = False


def mendings(experiment: Experiment, role: Role, failure: Failure) -> Iterator[Mending]:
    """What may be set after this failure, the best first; the last one is always another attempt."""
    at = _SERVING if role in (Role.DEPLOYMENT, Role.MODEL, Role.ENDPOINT) else _TRAINING
    for suggest in at.get(failure.cause, ()):
        found = suggest(experiment, failure)
        if found is not None:
            yield found
    attempt = experiment.run.attempt
    yield Mending(
        ((("run", "attempt"), attempt + 1),), f"run.attempt {attempt} -> {attempt + 1} tries once more", afterwards=True
    )


_Suggest: TypeAlias = Callable[[Experiment, Failure], Mending | None]


def _fewer_rows(it: Experiment, failure: Failure) -> Mending | None:
    rows, steps = (it.training.effective(key) for key in ("per_device_train_batch_size", "gradient_accumulation_steps"))
    if type(rows) is not int or type(steps) is not int or rows < 2:
        return None
    part = next(number for number in range(2, rows + 1) if rows % number == 0)
    return Mending(
        (
            (("training", "per_device_train_batch_size"), rows // part),
            (("training", "gradient_accumulation_steps"), steps * part),
        ),
        f"{rows // part} rows at a time instead of {rows}: the effective batch stays {it.effective_batch}, "
        "and so does the identity",
    )


def _checkpointing(it: Experiment, failure: Failure) -> Mending | None:
    if it.training.effective("gradient_checkpointing") is not False:
        return None
    why = "activations are computed again instead of being kept: slower, less memory, the same identity"
    return Mending(((("training", "gradient_checkpointing"), True),), why)


def _larger(block: str, grow: Callable[[Choice], Choice | None]) -> _Suggest:
    def suggest(it: Experiment, failure: Failure) -> Mending | None:
        machine = _machine(it, block)
        now = Choice(machine.machine_type, machine.accelerator_type, machine.accelerator_count)
        larger = grow(now)
        if larger is None:
            return None
        values: dict[str, Json] = {"machine_type": larger.machine_type}
        if larger.accelerator_type != now.accelerator_type:
            values["accelerator_type"] = larger.accelerator_type
        fields = tuple(((block, "machine", key), value) for key, value in values.items())
        return Mending(
            fields, f"{larger.machine_type} instead of {now.machine_type}: it costs more, the identity stays"
        )

    return suggest


def _machine(it: Experiment, block: str) -> Machine:
    return it.serving.machine if block == "serving" and it.serving else it.run.machine


def _own_process(it: Experiment, failure: Failure) -> Mending | None:
    if it.training.effective("dataloader_num_workers") == 0:
        return None
    return Mending(((("training", "dataloader_num_workers"), 0),), "rows are loaded in the training process itself")


def _larger_disk(it: Experiment, failure: Failure) -> Mending | None:
    now = it.run.machine.boot_disk_size_gb or 100
    larger = min(2 * now, 64_000)
    if larger == now:
        return None
    return Mending(((("run", "machine", "boot_disk_size_gb"), larger),), f"a disk of {larger} GB instead of {now} GB")


def _more_time(it: Experiment, failure: Failure) -> Mending | None:
    timeout = it.run.scheduling.timeout
    if timeout is None or seconds(timeout) >= WEEK:
        return None
    longer = min(2 * seconds(timeout), WEEK)
    return Mending(((("run", "scheduling", "timeout"), _duration(longer)),), "twice the time")


def _standard_too(it: Experiment, failure: Failure) -> Mending | None:
    strategies = it.run.scheduling.strategy
    if "standard" in strategies:
        return None
    ladder = [*strategies, "standard"]
    return Mending(
        ((("run", "scheduling", "strategy"), ladder),),
        "after a stock-out, a preemption or a lack of quota the next try takes a standard machine, which costs more",
    )


def _steadier(it: Experiment, failure: Failure) -> Mending | None:
    if it.training.effective("fp16") is True:
        fields = ((("training", "fp16"), False), (("training", "bf16"), True))
        return Mending(fields, "bf16 has the range that fp16 lacks; this is another identity: a new run")
    rate = it.training.effective("learning_rate")
    if not isinstance(rate, float) or rate <= 0:
        return None
    why = f"learning rate {rate:g} -> {rate / 2:g}; this is another identity: a new run"
    return Mending(((("training", "learning_rate"), rate / 2),), why)


_FITS = re.compile(r"estimated maximum model length is (\d+)|stored in KV cache \((\d+)\)", re.IGNORECASE)
_FREE = re.compile(r"Free memory on device .{0,20}?\(([\d.]+)/([\d.]+) GiB\)", re.IGNORECASE)


def _shorter(it: Experiment, failure: Failure) -> Mending | None:
    found = _FITS.search(f"{failure.evidence}\n{failure.message}")
    length = int(found[1] or found[2]) // 16 * 16 if found else 0
    if length < 16:
        return None
    why = f"{length} tokens of prompt and answer fit into the memory; longer requests are refused"
    return Mending(((("serving", "engine", "max_model_len"), length),), why)


def _less_of_the_gpu(it: Experiment, failure: Failure) -> Mending | None:
    found = _FREE.search(f"{failure.evidence}\n{failure.message}")
    if found is None or float(found[2]) <= 0:
        return None
    share = int(float(found[1]) / float(found[2]) * 100 - 1) / 100
    if not 0.1 <= share < 1:
        return None
    return Mending(
        ((("serving", "engine", "gpu_memory_utilization"), share),), f"{share:g} of the GPU's memory is free"
    )


def _longer_start(it: Experiment, failure: Failure) -> Mending | None:
    timeout = it.serving.deployment_timeout if it.serving else None
    now = seconds(timeout or "1800s")
    longer = min(2 * now, LONGEST_START)
    if longer == now:
        return None
    why = f"{longer // 60} minutes to become healthy instead of {now // 60}"
    return Mending(((("serving", "deployment_timeout"), _duration(longer)),), why)


def _duration(length: int) -> str:
    for unit, letter in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if length % unit == 0:
            return f"{length // unit}{letter}"
    return f"{length}s"


_TRAINING: Mapping[Cause, tuple[_Suggest, ...]] = MappingProxyType(
    {
        Cause.GPU_MEMORY: (_fewer_rows, _checkpointing, _larger("run", more_gpu_memory)),
        Cause.MEMORY: (_larger("run", more_memory), _fewer_rows),
        Cause.SHARED_MEMORY: (_own_process,),
        Cause.DISK: (_larger_disk,),
        Cause.TIMEOUT: (_more_time,),
        Cause.DIVERGED: (_steadier,),
        Cause.STOCKOUT: (_standard_too,),
        Cause.PREEMPTED: (_standard_too,),
        Cause.QUOTA: (_standard_too,),
    }
)
_SERVING: Mapping[Cause, tuple[_Suggest, ...]] = MappingProxyType(
    {
        Cause.CONTEXT: (_shorter, _larger("serving", more_gpu_memory)),
        Cause.GPU_MEMORY: (_less_of_the_gpu, _larger("serving", more_gpu_memory)),
        Cause.MEMORY: (_larger("serving", more_memory),),
        Cause.UNHEALTHY: (_longer_start,),
    }
)
