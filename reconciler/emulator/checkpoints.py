"""Checkpoints of a tuned model: which there are, and in which folder each lies.

The last one is the model itself. The others lie beside it, named after their epoch, as the documentation of tuning
shows it.
"""

from __future__ import annotations

from reconciler.emulator.wire.codec import Message
from reconciler.emulator.wire.errors import invalid

FINAL = "final"


def folder(model: Message, checkpoint: str, field: str) -> str:
    """Where a checkpoint of a Model lies; without an id the Model's own artifact.

    Raises INVALID_ARGUMENT that names `field` for a checkpoint that the model does not have.
    """
    uri: str = model.artifact_uri.rstrip("/")
    if not checkpoint or checkpoint == model.default_checkpoint_id:
        return uri
    found = next((one for one in model.checkpoints if one.checkpoint_id == checkpoint), None)
    if found is None:
        known = ", ".join(one.checkpoint_id for one in model.checkpoints) or "none"
        raise invalid(field, f"The Model {model.name} has no checkpoint {checkpoint}. Its checkpoints: {known}.")
    return f"{uri.removesuffix(FINAL)}checkpoint-{found.epoch}"
