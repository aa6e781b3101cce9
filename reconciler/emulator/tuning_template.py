"""Google's pipelines that tune text and chat models, known by their address.

Their parameters are those of the documentation. They run as the managed tuning does: on a stand-in of the named model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reconciler.emulator.tuning_plan import Tuning
from reconciler.emulator.wire.errors import Json, invalid

NAMES = ("tune-large-model", "tune-large-chat-model")
_ADDRESS = re.compile(r"https://[a-z0-9-]+-kfp\.pkg\.dev/ml-pipeline/[a-z0-9-]+/([a-z0-9-]+)/[A-Za-z0-9._:-]+")
_PARAMETERS: Mapping[str, tuple[str, Any]] = {
    "project": ("STRING", None),
    "model_display_name": ("STRING", None),
    "dataset_uri": ("STRING", None),
    "location": ("STRING", ""),
    "accelerator_type": ("STRING", "GPU"),
    "large_model_reference": ("STRING", "text-bison@002"),
    "default_context": ("STRING", ""),
    "train_steps": ("NUMBER_INTEGER", 300),
    "learning_rate_multiplier": ("NUMBER_DOUBLE", 1.0),
    "evaluation_data_uri": ("STRING", ""),
    "evaluation_interval": ("NUMBER_INTEGER", 20),
    "enable_early_stopping": ("BOOLEAN", True),
    "enable_checkpoint_selection": ("STRING", "default"),
    "tensorboard_resource_id": ("STRING", ""),
    "encryption_spec_key_name": ("STRING", ""),
}
_LEARNING_RATE = 2e-4
_BATCH = {"GPU": 8, "TPU": 24}


def find(address: str) -> str | None:
    """The pipeline's name in a template address; None when it is not one of these."""
    found = _ADDRESS.fullmatch(address)
    return found[1] if found and found[1] in NAMES else None


def spec(name: str) -> Json:
    """The part of the pipeline's spec that a caller sees: its name and its parameters."""
    parameters: Json = {}
    for key, (kind, default) in _PARAMETERS.items():
        parameters[key] = {"parameterType": kind}
        if default is not None:
            parameters[key] |= {"defaultValue": default, "isOptional": True}
    return {
        "pipelineInfo": {"name": name},
        "root": {"inputDefinitions": {"parameters": parameters}, "dag": {"tasks": {}}},
        "schemaVersion": "2.0.0",
        "sdkVersion": "kfp-2.0.0",
    }


def check(values: Json) -> None:
    """Raises INVALID_ARGUMENT for values that could never be tuned with."""
    place = "pipeline_job.runtime_config.parameter_values"
    for name in ("dataset_uri", "evaluation_data_uri"):
        if values[name] and not values[name].startswith("gs://"):
            raise invalid(f"{place}[{name}]", f"{name} must be a Cloud Storage address (gs://...), not {values[name]}.")
    if values["accelerator_type"] not in ("", *_BATCH):
        raise invalid(
            f"{place}[accelerator_type]", f"accelerator_type must be GPU or TPU, not {values['accelerator_type']}."
        )
    for name in ("train_steps", "evaluation_interval", "learning_rate_multiplier"):
        if values[name] <= 0:
            raise invalid(f"{place}[{name}]", f"{name} must be positive, not {values[name]}.")


def tuning(values: Json, folder: str) -> Tuning:
    """What to train; the artifact goes under `folder`."""
    return Tuning(
        base=values["large_model_reference"],
        name=values["model_display_name"],
        train=values["dataset_uri"],
        validation=values["evaluation_data_uri"],
        method="lora",
        rank=8,
        epochs=0,
        steps=int(values["train_steps"]),
        learning_rate=_LEARNING_RATE * float(values["learning_rate_multiplier"]),
        batch=_BATCH.get(values["accelerator_type"], 8),
        evaluate_every=int(values["evaluation_interval"]) if values["evaluation_data_uri"] else 0,
        context=values["default_context"],
        output=folder,
    )
