"""Experiments with good defaults, on targets that need no account, and changes about their resources."""

from __future__ import annotations

from typing import Any

from reconciler.backends.subject import Input, Subject
from reconciler.core.calls import Scene
from reconciler.core.changes import Action, Change, Reason
from reconciler.core.resources import Address, LiveResource, Resource, Role, Source, Upload
from reconciler.core.target import Target
from reconciler.repo.desired import resources_of
from schemas.effects import declared_fields
from schemas.experiment import Experiment

LOCAL = Target(
    "local",
    "acme",
    "loraform-local",
    "us-central1",
    "loraform-local",
    "http://127.0.0.1:1",
    True,
    {"train": "loraform/train", "serve": "loraform/serve"},
)
CLOUD = Target(
    "prod",
    "acme",
    "acme-ml",
    "europe-west4",
    "acme-llm",
    images={"train": "train@sha256:" + "a" * 64, "serve": "serve@sha256:" + "b" * 64},
)
L4 = {"machine_type": "g2-standard-12", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}
PLAIN: dict[str, Any] = {
    "apiVersion": "loraform/v1",
    "kind": "Experiment",
    "name": "support-bot",
    "owner": "team-support",
    "model": {"base": "meta-llama/Llama-3.1-8B-Instruct", "revision": "0e9e39f249a16976918f6564b8830bc894c89659"},
    "data": {"train": "data/train.jsonl", "eval": "gs://acme-llm/support/eval.jsonl#1763600000000001"},
    "adapter": {"method": "qlora", "r": 16, "lora_alpha": 32, "target_modules": "all-linear"},
    "training": {"num_train_epochs": 3.0, "learning_rate": 2e-4, "max_length": 2048},
    "serving": {"machine": L4, "max_replica_count": 3, "engine": {"max_model_len": 4096}},
}
KEY = "projects/acme-ml/locations/europe-west4/keyRings/r/cryptoKeys/k"
RICH: dict[str, Any] = {
    **PLAIN,
    "labels": {"team": "support"},
    "protect": True,
    "evaluation": {"metrics": ["rouge_l"], "gate": ["eval_loss <= 1.2"]},
    "run": {
        "machine": {**L4, "replica_count": 3, "boot_disk_type": "pd-ssd", "boot_disk_size_gb": 200},
        "scheduling": {"strategy": ["spot", "standard"], "timeout": "6h", "restart_job_on_worker_restart": True},
        "service_account": "tuner@acme-ml.iam.gserviceaccount.com",
        "network": "projects/1/global/networks/default",
        "reserved_ip_ranges": ["vertex"],
        "encryption_spec": {"kms_key_name": KEY},
        "tensorboard": "projects/acme-ml/locations/europe-west4/tensorboards/1",
        "enable_web_access": True,
        "enable_dashboard_access": True,
        "labels": {"cost": "research"},
        "env": {"NCCL_DEBUG": "INFO"},
    },
    "serving": {
        "machine": L4,
        "min_replica_count": 2,
        "max_replica_count": 4,
        "required_replica_count": 1,
        "autoscaling_metric_specs": [{"metric_name": "aiplatform.googleapis.com/prediction/online/cpu/utilization"}],
        "spot": True,
        "engine": {"max_model_len": 4096},
        "generation": {"max_tokens": 256, "temperature": 0.2},
        "env": {"VLLM_LOGGING_LEVEL": "DEBUG"},
        "labels": {"tier": "gold"},
        "service_account": "server@acme-ml.iam.gserviceaccount.com",
        "encryption_spec": {"kms_key_name": KEY},
    },
}
DIGEST = "789ee5277f44787ed0523a238ab3be6fe154bba393b8e0fb5d30c11866625b46"


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` merged into its blocks; None deletes a key."""
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def subject(
    changes: dict[str, Any] | None = None,
    base: dict[str, Any] = PLAIN,
    target: Target = LOCAL,
    train_digest: str = DIGEST,
) -> Subject:
    experiment = Experiment.model_validate(merged(base, changes or {}))
    model, rows = experiment.model, experiment.data
    uri = f"{target.content_uri(train_digest)}/train.jsonl"
    inputs = {
        "data.train": Input(
            uri, f"sha256:{train_digest}", f"{rows.train} (sha256 {train_digest[:12]})", (Upload(rows.train, uri),)
        ),
        "model.base": Input(model.base, model.base, model.base),
    }
    if rows.eval is not None:
        inputs["data.eval"] = Input(rows.eval, rows.eval, rows.eval)
    if model.from_ is not None:
        inputs["model.from"] = Input(target.record_uri("0" * 64), "0" * 64, model.from_)
    if model.tokenizer is not None:
        inputs["model.tokenizer"] = Input(model.tokenizer, model.tokenizer, model.tokenizer)
    if model.chat_template is not None:
        inputs["model.chat_template"] = Input(model.chat_template, model.chat_template, model.chat_template)
    if rows.template is not None:
        inputs["data.template"] = Input(rows.template, rows.template, rows.template)
    scored = experiment.evaluation
    for name, place in scored.own.items():
        inputs[f"evaluation.own.{name}"] = Input(place, place, place)
    if scored.own:
        inputs["evaluation.own"] = Input("", dict(scored.own), str(scored.own))
    if scored.sql.script is not None:
        inputs["evaluation.sql.script"] = Input(scored.sql.script, scored.sql.script, scored.sql.script)
    for index, mixed in enumerate(rows.mix):
        inputs[f"data.mix.{index}"] = Input(mixed.rows, mixed.rows, mixed.rows)
    if rows.mix:
        pins = [[mixed.rows, mixed.weight] for mixed in rows.mix]
        inputs["data.mix"] = Input("", pins, ", ".join(mixed.rows for mixed in rows.mix))
    source = Source("experiments/support-bot.yaml", 1, 1)
    return Subject(experiment, target, declared_fields(experiment), source, inputs)


def resources(
    changes: dict[str, Any] | None = None, base: dict[str, Any] = PLAIN, target: Target = LOCAL, **more: Any
) -> dict[Role, Resource]:
    return {item.address.role: item for item in resources_of(subject(changes, base, target, **more))}


def scene(target: Target = LOCAL, **outputs: dict[str, Any]) -> Scene:
    """A scene in which everything of `support-bot` is ready; `outputs` by role replace what it has."""
    place = f"{target.parent}"
    ready: dict[str, dict[str, Any]] = {
        "training": {"artifact_uri": "gs://b/loraform/acme/artifacts/x/attempt-1/model"},
        "merge": {"artifact_uri": "gs://b/loraform/acme/artifacts/y/attempt-1/model"},
        "model": {"version_name": f"{place}/models/lf-acme-support-bot@1"},
        "endpoint": {"name": f"{place}/endpoints/lf-acme-support-bot"},
        **outputs,
    }
    provenance = {"loraform-commit": "4be21d", "loraform-plan": "7f3a9c"}
    return Scene(
        target.parent,
        target.fleet,
        provenance,
        {Address("support-bot", Role(role)): values for role, values in ready.items()},
    )


def change(
    action: Action,
    after: Resource | None = None,
    before: LiveResource | None = None,
    replaces: tuple[LiveResource, ...] = (),
    stamps: dict[str, str] | None = None,
) -> Change:
    one = after or before
    assert one is not None
    return Change(
        one.address,
        one.kind,
        action,
        Reason.ABSENT,
        before=before,
        after=after,
        replaces=replaces,
        stamps=stamps or {},
    )
