"""Merging: an adapter that was trained becomes part of its base, in 16 bits, as a run of its own with its own record.

Nothing is trained. The base is loaded in 16 bits whatever the training loaded it in, on the CPU, so that no accelerator
must hold it; if it does not fit into memory this run fails, and the adapter stays as good as it was. The same adapter
and base give the same bytes.
"""

from __future__ import annotations

import gc
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from images.common.storage import cache_folder, fetch_folder
from images.train import record as records
from images.train.base import locate
from images.train.card import write_card
from images.train.failures import ModelNotFound
from images.train.lock import Lock, take, this_process
from images.train.progress import Progress
from images.train.storage import Storage, is_bucket, translated
from schemas.run_record import Counts, RunRecord
from schemas.training_spec import TrainingSpec

SHARD = "2GB"
ITS_OWN = ("adapter_*", "README.md", "parity.json", "predictions.jsonl", "scores.json")
"""Files of the adapter that say nothing of the merged model; tokenizer, templates, stop tokens and card go with it."""
OF_THE_BASE = ("preprocessor_config.json", "processor_config.json")
"""What a server of a multimodal base reads beside its weights."""


def merge(spec: TrainingSpec, folder: str | None, progress: Progress, storage: Storage, env: Mapping[str, str]) -> None:
    """Merge the adapter at `spec.merge` into its base, unless that was done before; the model goes to `folder`.

    Raises `TrainingFailed`.
    """
    started = progress.clock()
    found, generation = records.find(storage, spec.output.record)
    reused = found is not None and not found.pruned
    if found is None or found.pruned:
        target = (folder or spec.output.record.removesuffix(".json") + "/model").rstrip("/")
        with take(storage, spec.output.lock, this_process(env.get("CLOUD_ML_JOB_ID", ""), spec.attempt)) as lock:
            found = _merge(spec, target, lock, progress, storage, env)
            lock.check()
            records.write(storage, spec.output.record, found, expected=generation)
    progress.say(
        "done",
        record=spec.output.record,
        artifact_uri=found.artifact_uri,
        artifact_digest=found.artifact_digest,
        seconds=progress.clock() - started,
        reused=reused,
    )


def _merge(
    spec: TrainingSpec, target: str, lock: Lock, progress: Progress, storage: Storage, env: Mapping[str, str]
) -> RunRecord:
    from images.train.artifact import digest_of

    assert spec.merge is not None
    started = progress.clock()
    progress.say("phase", phase="model")
    folder = _adapter(spec.merge, storage, env)
    base = locate(spec.model, storage, progress, env)
    progress.say("phase", phase="merge")
    with tempfile.TemporaryDirectory(prefix="loraform-merge-") as scratch:
        out = Path(scratch) / "model"
        dtype = _merged(base, folder, spec, out)
        progress.note(f"the adapter at {spec.merge} is merged into {spec.model.base} in {dtype}")
        for file in (*(base / name for name in OF_THE_BASE), *folder.iterdir()):
            if file.is_file() and not any(file.match(pattern) for pattern in ITS_OWN):
                shutil.copy(file, out / file.name)
        digest = digest_of(out)
        known = folder / "metrics.json"
        scored = json.loads(known.read_text(encoding="utf-8"))["metrics"] if known.is_file() else {}
        write_card(out, spec, scored, digest)
        for file in out.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)
        lock.check()
        progress.say("phase", phase="artifact")
        storage.upload_folder(out, target)
    return RunRecord(
        fleet=spec.fleet,
        experiment=spec.experiment,
        identity=spec.identity,
        attempt=spec.attempt,
        method="merge",
        job=env.get("CLOUD_ML_JOB_ID", ""),
        artifact_uri=target,
        artifact_digest=digest,
        base=spec.model.base,
        revision=spec.model.revision,
        merged_from=spec.merge,
        counts=Counts(train_rows=0),
        versions=records.versions(),
        started=records.timestamp(started),
        finished=records.timestamp(progress.clock()),
        commit=spec.provenance.commit,
        plan=spec.provenance.plan,
        strategy=spec.provenance.strategy,
        region=spec.provenance.region,
        spec=spec.model_dump(mode="json"),
    )


def _adapter(uri: str, storage: Storage, env: Mapping[str, str]) -> Path:
    """The adapter's folder on this disk."""
    with translated(uri):
        folder = fetch_folder(uri, cache_folder(env), client=storage.google()) if is_bucket(uri) else Path(uri)
    if not (folder / "adapter_config.json").is_file():
        raise ModelNotFound(f"{uri} holds no adapter", "Train again; nothing was merged.")
    return folder


def _merged(base: Path, adapter: Path, spec: TrainingSpec, out: Path) -> str:
    """Write the merged model to `out`; returns the type of its weights."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    from images.train.artifact import canonical_config
    from images.train.loading import refused_to_load

    logging.disable_progress_bar()
    dtype = _sixteen_bits(base)
    with refused_to_load(spec.model):
        model: Any = AutoModelForCausalLM.from_pretrained(
            base, dtype=getattr(torch, dtype), trust_remote_code=spec.model.trust_remote_code
        )
    # The adapter is as precise as it was trained; the sum is rounded once.
    tuned: Any = PeftModel.from_pretrained(model, adapter, autocast_adapter_dtype=True)
    whole = tuned.merge_and_unload(safe_merge=True)
    del tuned, model
    gc.collect()
    whole.save_pretrained(out, max_shard_size=SHARD)
    canonical_config(out)
    return dtype


def _sixteen_bits(base: Path) -> str:
    """The base's own type if that has 16 bits, else bfloat16."""
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    named = [one.get(key) for one in (config, config.get("text_config") or {}) for key in ("dtype", "torch_dtype")]
    return "float16" if "float16" in named else "bfloat16"
