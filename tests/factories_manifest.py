"""Manifests with good defaults: a test says only what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.endpoint import Endpoint
from schemas.experiment import Experiment
from schemas.project import Project

REVISION = "0e9e39f249a16976918f6564b8830bc894c89659"


def experiment(name: str = "support-bot", **overrides: Any) -> Experiment:
    """An experiment that trains a LoRA adapter and serves it. Blocks that are given are merged into the defaults.

    `serving=None` leaves the block out.
    """
    return Experiment.model_validate(document(name, **overrides))


def document(name: str = "support-bot", **overrides: Any) -> dict[str, Any]:
    """The same as a manifest's plain content."""
    content: dict[str, Any] = {
        "apiVersion": "loraform/v1",
        "kind": "Experiment",
        "name": name,
        "owner": "team-support",
        "model": {"base": "meta-llama/Llama-3.1-8B-Instruct", "revision": REVISION},
        "data": {
            "train": "gs://acme-llm/support/train.jsonl#1763600000000000",
            "eval": "gs://acme-llm/support/eval.jsonl#1763600000000001",
        },
        "adapter": {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"},
        "training": {"num_train_epochs": 3, "learning_rate": 2e-4},
        "run": {"machine": {"machine_type": "g2-standard-12", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}},
        "serving": {
            "machine": {"machine_type": "g2-standard-12", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1},
            "min_replica_count": 1,
            "max_replica_count": 3,
            "engine": {"max_model_len": 4096},
            "generation": {"max_tokens": 256, "temperature": 0.2},
        },
    }
    return {key: value for key, value in merged(content, overrides).items() if value is not None}


def endpoint(name: str = "llama-8b", **overrides: Any) -> Endpoint:
    """A shared endpoint without routes."""
    content = {
        "apiVersion": "loraform/v1",
        "kind": "Endpoint",
        "name": name,
        "model": {"base": "meta-llama/Llama-3.1-8B-Instruct", "revision": REVISION},
        "capacity": {"max_loras": 8, "max_lora_rank": 16},
    }
    return Endpoint.model_validate(merged(content, overrides))


def project(**overrides: Any) -> Project:
    """A project with the fleet `acme` and a cloud target `prod`."""
    target = {"project": "acme-ml", "region": "europe-west4", "bucket": "acme-llm"}
    return Project.model_validate(merged({"fleet": "acme", "targets": {"prod": target}}, overrides))


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` wins; mappings are merged, all else is replaced."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result
