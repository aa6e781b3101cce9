"""A live object made by others -> the blocks of a manifest that say the same, and everything that no manifest can say.

Nothing is guessed: what a container was told to learn is not known from outside, so no field of `model`, `data`,
`adapter` or `training` is ever filled in. Every field of the payload is either carried over or listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from reconciler.backends import labels, payloads
from reconciler.backends.custom_job import STRATEGIES
from reconciler.backends.engine_words import engine_of
from reconciler.backends.kind import Payload
from reconciler.core.imported import Carried, Lost
from reconciler.core.resources import Json

SERVICE = (
    "create_time", "dedicated_endpoint_dns", "dedicated_endpoint_enabled", "deployed_models", "description",
    "display_name", "end_time", "error", "etag", "id", "metadata_artifact", "model", "model_source_info",
    "model_version_id", "name", "original_model_info", "satisfies_pzi", "satisfies_pzs", "start_time", "state",
    "status", "supported_deployment_resources_types", "supported_export_formats", "supported_input_storage_formats",
    "supported_output_storage_formats", "traffic_split", "update_time", "version_aliases", "version_create_time",
    "version_id", "version_update_time", "web_access_uris",
)  # fmt: skip
"""What the service fills in, and what Loraform decides by itself: no loss."""
_SECRETIVE = re.compile(r"(?:^|_)(TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS)$", re.IGNORECASE)
_NOT_LEARNT = "what the container was told to do: Loraform trains with its own image, from the blocks of the manifest"
_OWN_IMAGE = "Loraform serves with its own image"


def from_job(job: Payload) -> Carried:
    """A custom job: where and how it ran. What it learnt is in its container's arguments, and stays there."""
    found, spec = Carried(), payloads.mapping(job, "job_spec")
    pools = payloads.messages(spec, "worker_pool_specs")
    first = pools[0] if pools else {}
    disk, scheduling = payloads.mapping(first, "disk_spec"), payloads.mapping(spec, "scheduling")
    machine = _machine(payloads.mapping(first, "machine_spec"))
    replicas = sum(payloads.integer(pool, "replica_count", 1) for pool in pools)
    if replicas > 1:
        machine["replica_count"] = replicas
    machine |= {
        key: value
        for key, value in (
            ("boot_disk_type", payloads.text(disk, "boot_disk_type")),
            ("boot_disk_size_gb", payloads.integer(disk, "boot_disk_size_gb")),
        )
        if value
    }
    strategy = payloads.enum(scheduling, "strategy", STRATEGIES).lower()
    found.give("run", machine=machine)
    found.give(
        "run",
        scheduling={
            key: value
            for key, value in (
                ("strategy", strategy if strategy in ("spot", "flex_start") else ""),
                ("timeout", payloads.text(scheduling, "timeout")),
                ("max_wait_duration", payloads.text(scheduling, "max_wait_duration")),
                ("restart_job_on_worker_restart", scheduling.get("restart_job_on_worker_restart")),
                ("disable_retries", scheduling.get("disable_retries")),
            )
            if value
        },
        service_account=payloads.text(spec, "service_account"),
        network=payloads.text(spec, "network"),
        reserved_ip_ranges=list(payloads.texts(spec, "reserved_ip_ranges")),
        tensorboard=payloads.text(spec, "tensorboard"),
        enable_web_access=spec.get("enable_web_access"),
        enable_dashboard_access=spec.get("enable_dashboard_access"),
        persistent_resource_id=payloads.text(spec, "persistent_resource_id"),
        encryption_spec=_key(job),
        env=_environment(
            found, "job_spec.worker_pool_specs.0.container_spec.env", payloads.mapping(first, "container_spec")
        ),
    )
    _labels(found, job)
    kept = {
        "labels", "encryption_spec", "job_spec.service_account", "job_spec.network", "job_spec.reserved_ip_ranges",
        "job_spec.tensorboard", "job_spec.enable_web_access", "job_spec.enable_dashboard_access",
        "job_spec.persistent_resource_id", "job_spec.scheduling", "job_spec.worker_pool_specs.0.machine_spec",
        "job_spec.worker_pool_specs.0.disk_spec", "job_spec.worker_pool_specs.0.container_spec.env",
    }  # fmt: skip
    kept |= {f"job_spec.worker_pool_specs.{number}.replica_count" for number in range(len(pools))}
    alike = {
        f"job_spec.worker_pool_specs.{number}.{key}"
        for number, pool in enumerate(pools)
        for key in ("machine_spec", "disk_spec")
        if pool.get(key) == first.get(key)
    }
    reasons = {
        "job_spec.worker_pool_specs": _NOT_LEARNT,
        "job_spec.base_output_directory": "Loraform writes into its own folder of the target's bucket",
    }
    _rest(found, job, kept | alike, reasons)
    return found


def from_model(model: Payload) -> Carried:
    """A registered model: its serving container's settings. Its next version goes into the same model."""
    found = Carried(adopt={"model": payloads.last(payloads.text(model, "name"))})
    _container(found, model)
    found.give("serving", encryption_spec=_key(model))
    _labels(found, model)
    _rest(found, model, {"labels", "encryption_spec", *_CONTAINER}, _MODEL_REASONS)
    return found


def from_endpoint(endpoint: Payload, model: Payload | None) -> Carried:
    """An endpoint: its address, and the machines and the container of what has the most traffic on it."""
    found = Carried(adopt={"endpoint": payloads.last(payloads.text(endpoint, "name"))})
    deployed = payloads.messages(endpoint, "deployed_models")
    split = payloads.mapping(endpoint, "traffic_split")
    serving = max(deployed, key=lambda item: payloads.integer(split, payloads.text(item, "id")), default=None)
    found.give("serving", network=payloads.text(endpoint, "network"), encryption_spec=_key(endpoint))
    if serving is not None:
        _deployed(found, serving)
    if model is not None:
        _container(found, model)
    _labels(found, endpoint)
    _rest(found, endpoint, {"labels", "encryption_spec", "network"}, {})
    for item in deployed:
        name = payloads.text(item, "display_name") or payloads.text(item, "id")
        share = payloads.integer(split, payloads.text(item, "id"))
        why = f"made by others: it stays, and keeps its {share} % of the traffic until somebody takes it off"
        found.lost.append(Lost(f"deployed_models.{payloads.text(item, 'id')}", name, why))
    if serving is not None:
        _rest(found, serving, {"dedicated_resources", "service_account"}, {}, "deployed_model.")
    if model is not None:
        _rest(found, model, {"labels", *_CONTAINER}, _MODEL_REASONS, "model.")
    return found


_CONTAINER = (
    "container_spec.env", "container_spec.args", "container_spec.shared_memory_size_mb",
    "container_spec.deployment_timeout", "container_spec.image_uri", "container_spec.ports",
    "container_spec.predict_route", "container_spec.health_route",
)  # fmt: skip
_MODEL_REASONS = {
    "artifact_uri": "its weights were learnt elsewhere: this experiment trains its own",
    "container_spec": _OWN_IMAGE,
}


def _container(found: Carried, model: Payload) -> None:
    container = payloads.mapping(model, "container_spec")
    engine, unknown = engine_of((*payloads.texts(container, "command"), *payloads.texts(container, "args")))
    shared = payloads.integer(container, "shared_memory_size_mb")
    found.give(
        "serving",
        engine=engine,
        env=_environment(found, "container_spec.env", container),
        shared_memory_size_mb=shared,
        deployment_timeout=payloads.text(container, "deployment_timeout"),
    )
    for word, why in unknown:
        found.lost.append(Lost("container_spec.args", word, why))
    for key in ("image_uri", "predict_route", "health_route"):
        if payloads.text(container, key):
            found.lost.append(Lost(f"container_spec.{key}", payloads.text(container, key), _OWN_IMAGE))


def _deployed(found: Carried, item: Payload) -> None:
    resources = payloads.mapping(item, "dedicated_resources")
    least = payloads.integer(resources, "min_replica_count", 1)
    most = payloads.integer(resources, "max_replica_count", least)
    metrics: list[Json] = [
        {"metric_name": payloads.text(one, "metric_name"), "target": payloads.integer(one, "target", 60)}
        for one in payloads.messages(resources, "autoscaling_metric_specs")
    ]
    found.give(
        "serving",
        machine=_machine(payloads.mapping(resources, "machine_spec")),
        min_replica_count=least,
        max_replica_count=max(least, most),
        autoscaling_metric_specs=metrics,
        spot=resources.get("spot"),
        service_account=payloads.text(item, "service_account"),
    )


def _machine(spec: Payload) -> dict[str, Json]:
    card = payloads.text(spec, "accelerator_type")
    machine: dict[str, Json] = {"machine_type": payloads.text(spec, "machine_type")} if spec.get("machine_type") else {}
    if card and card != "ACCELERATOR_TYPE_UNSPECIFIED":
        machine |= {"accelerator_type": card, "accelerator_count": payloads.integer(spec, "accelerator_count", 1)}
    return machine


def _key(payload: Payload) -> dict[str, Json]:
    key = payloads.text(payloads.mapping(payload, "encryption_spec"), "kms_key_name")
    return {"kms_key_name": key} if key else {}


def _environment(found: Carried, path: str, container: Payload) -> dict[str, Json]:
    kept: dict[str, Json] = {}
    for item in payloads.messages(container, "env"):
        name = payloads.text(item, "name")
        if _SECRETIVE.search(name):
            found.lost.append(
                Lost(f"{path}.{name}", "...", "it looks like a secret: name one with `model.token_secret`")
            )
        elif name.startswith(("AIP_", "LORAFORM_")):
            found.lost.append(Lost(f"{path}.{name}", payloads.text(item, "value"), "Vertex AI or Loraform sets it"))
        else:
            kept[name] = payloads.text(item, "value")
    return kept


def _labels(found: Carried, payload: Payload) -> None:
    found.labels = dict(labels.foreign(labels.labels_of(payload)))
    found.description = payloads.text(payload, "description")


def _rest(found: Carried, payload: Payload, kept: set[str], reasons: Mapping[str, str], prefix: str = "") -> None:
    """List every field that is neither kept nor the service's own."""
    for path, value in _leaves(payload, ""):
        if path.split(".", 1)[0] in SERVICE or any(path == one or path.startswith(f"{one}.") for one in kept):
            continue
        why = next((text for one, text in reasons.items() if path.startswith(one)), "no field of a manifest says this")
        found.lost.append(Lost(prefix + path, value, why))


def _leaves(value: Json, path: str) -> Iterator[tuple[str, Json]]:
    """The scalars and the lists of scalars inside, by dotted path."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif (
        isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(item, Mapping) for item in value)
    ):
        for number, item in enumerate(value):
            yield from _leaves(item, f"{path}.{number}")
    elif value not in (None, "", 0, False, []):
        yield path, value
