"""What a model must look like to be taken in: its names, its labels, its container. Raises, decides nothing else."""

from __future__ import annotations

import re

from reconciler.emulator.wire.checks import check_display_name, check_labels, required
from reconciler.emulator.wire.codec import Message
from reconciler.emulator.wire.errors import ApiError, invalid

_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")


def check_model(model: Message) -> None:
    """Raises INVALID_ARGUMENT for a model that could never serve."""
    check_display_name(model.display_name, "model.display_name")
    check_labels(model.labels, "model.labels")
    if model.artifact_uri and not model.artifact_uri.startswith("gs://"):
        raise invalid("model.artifact_uri", f"Invalid Google Cloud Storage URI {model.artifact_uri}.")
    if not model.HasField("container_spec"):
        raise required("model.container_spec")
    spec = model.container_spec
    if not spec.image_uri:
        raise required("model.container_spec.image_uri")
    for field in ("predict_route", "health_route"):
        route = getattr(spec, field)
        if route and not route.startswith("/"):
            raise invalid(f"model.container_spec.{field}", f"The route {route} must start with a slash.")
    if spec.invoke_route_prefix not in ("", "/*"):
        raise invalid("model.container_spec.invoke_route_prefix", 'The only invoke route prefix is "/*".')
    if spec.predict_route and spec.invoke_route_prefix:
        raise invalid(
            "model.container_spec.invoke_route_prefix", "A container has a predict route or an invoke prefix, not both."
        )


def checked_id(model_id: str) -> str:
    """The id as it is; empty for one that the service chooses."""
    if model_id and not _ID.fullmatch(model_id):
        raise invalid(
            "model_id",
            f"Invalid model id {model_id}: up to 63 characters of [a-z0-9_-], the first neither a number nor a hyphen.",
        )
    return model_id


def checked_alias(alias: str) -> str:
    """The alias as it is."""
    if not _ALIAS.fullmatch(alias):
        raise ApiError(
            "INVALID_ARGUMENT", f"Invalid version alias {alias}: it must match [a-z][a-zA-Z0-9-]{{0,126}}[a-z0-9]."
        )
    return alias
