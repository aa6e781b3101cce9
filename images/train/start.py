"""A training that goes on from the adapter of an earlier one: its tensors, under this run's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from images.common.storage import cache_folder, fetch_folder
from images.train import record as records
from images.train.failures import ModelNotFound, SpecInvalid
from images.train.progress import Progress
from images.train.storage import Storage, is_bucket, translated


def started(model: Any, config: Any, record: str, storage: Storage, progress: Progress, env: Mapping[str, str]) -> Any:
    """`model` with the adapter that the run record at `record` names, to be trained on as `config` says.

    Raises `ModelNotFound` where there is none, `SpecInvalid` where its tensors are of other sizes than `config`'s.
    """
    from peft import PeftModel

    found, _ = records.find(storage, record)
    if found is None or found.pruned:
        why = "was pruned" if found else "is not there"
        raise ModelNotFound(f"The run that this one goes on from {why}: {record}", "Train that experiment first.")
    uri = found.artifact_uri
    try:
        with translated(uri):
            folder = fetch_folder(uri, cache_folder(env), client=storage.google() if is_bucket(uri) else None)
    except (FileNotFoundError, ValueError) as error:
        raise ModelNotFound(f"{uri}: {error}", "Train that experiment again, or restore its artifact.") from error
    progress.note(f"goes on from the adapter of {found.experiment}, {found.artifact_digest[:12]}")
    try:
        return PeftModel.from_pretrained(model, folder, config=config, is_trainable=True)
    except (RuntimeError, ValueError, KeyError) as error:
        said = " ".join(str(error).split())[:300]
        raise SpecInvalid(
            f"The adapter of {found.experiment} does not fit these settings: {said}", "Use its r and target_modules."
        ) from error
