"""One trial of a sweep: the spec with this trial's values, and what it reports to the study.

The values come as further arguments (`--training-learning_rate=0.001`), the report goes where cloudml-hypertune writes.
The trial has a record, a lock and checkpoints of its own; the run record of the sweep is written by apply.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from images.train.failures import DataInvalid, SpecInvalid
from images.train.masks import Encoded
from schemas.sweep import as_value
from schemas.training_spec import TrainingSpec

REPORT = "/var/hypertune/output.metrics"
BLOCKS = ("training", "adapter")


def of_trial(spec: TrainingSpec, words: Sequence[str], env: Mapping[str, str]) -> TrainingSpec:
    """`spec` as this trial carries it out. Raises `SpecInvalid` for words that name no key."""
    if spec.sweep is None:
        if words:
            raise SpecInvalid(f"{words[0]} is no argument", "Give --spec, --spec-file or --out.")
        return spec
    blocks: dict[str, dict[str, Any]] = {name: dict(getattr(spec, name)) for name in BLOCKS}
    for word in words:
        name, equals, text = word.removeprefix("--").partition("=")
        block, dash, key = name.partition("-")
        if not equals or not dash or block not in blocks:
            raise SpecInvalid(f"{word} names no key of a sweep", f"Write --BLOCK-KEY=VALUE, of {' or '.join(BLOCKS)}.")
        blocks[block][key] = as_value(text, blocks[block].get(key))
    trial = env.get("CLOUD_ML_TRIAL_ID") or "1"
    identity = hashlib.sha256(f"{spec.identity}/{trial}/{json.dumps(blocks, sort_keys=True)}".encode()).hexdigest()
    folder = f"{spec.sweep.records.rstrip('/')}/{trial}"
    output = spec.output.model_copy(
        update={
            "record": f"{folder}.json",
            "lock": f"{folder}.lock",
            "resume": f"{spec.output.resume}/{trial}" if spec.output.resume else None,
        }
    )
    return spec.model_copy(update={**blocks, "identity": identity, "output": output})


def chosen(spec: TrainingSpec) -> dict[str, Any]:
    """The values of this trial, by dotted path; nothing outside a sweep."""
    paths = (key.partition(".") for key in (spec.sweep.keys if spec.sweep else ()))
    return {f"{block}.{key}": getattr(spec, block)[key] for block, _, key in paths if key in getattr(spec, block)}


def held_apart(rows: Sequence[Encoded], fraction: float, seed: int) -> tuple[list[Encoded], list[Encoded]]:
    """(learnt from, compared by): the same rows for every trial, by a hash of the seed and their tokens."""
    sides: tuple[list[Encoded], list[Encoded]] = ([], [])
    for row in rows:
        digest = hashlib.sha256(f"sweep {seed} {row.input_ids}".encode()).digest()
        sides[int.from_bytes(digest[:8]) < fraction * 2**64].append(row)
    if not sides[0] or not sides[1]:
        raise DataInvalid(
            f"sweep.fraction ({fraction:g}) leaves {len(sides[0])} rows to learn from, {len(sides[1])} to compare by",
            "Choose another fraction, or give more rows.",
        )
    return sides


def report(metric: str, value: float, step: int, env: Mapping[str, str]) -> None:
    """Tell the study, as cloudml-hypertune does: one line of JSON in the file that the service reads."""
    place = Path(env.get("CLOUD_ML_HP_METRIC_FILE") or REPORT)
    place.parent.mkdir(parents=True, exist_ok=True)
    line = {
        "timestamp": time.time(),
        "trial": env.get("CLOUD_ML_TRIAL_ID", "0"),
        metric: str(value),
        "global_step": str(step),
    }
    with place.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, sort_keys=True) + "\n")
