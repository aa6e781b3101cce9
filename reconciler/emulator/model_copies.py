"""ModelService, CopyModel: one version of a model becomes a new model, or a version of another, here or in another
region. The artifact is not copied: both read the same folder, as the embedded Cloud Storage knows no regions.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.emulator import models, operations
from reconciler.emulator.wire.checks import required
from reconciler.emulator.wire.codec import Message, message_class, new
from reconciler.emulator.wire.errors import invalid
from reconciler.emulator.wire.names import canonical, project_of
from reconciler.emulator.world import Method, World

_MADE_ANEW = ("version_aliases", "deployed_models", "etag", "encryption_spec")


def copy(world: World, request: Message) -> Message:
    """CopyModel: the default version, unless the source's name tells another. Its operation is over at once."""
    if not request.source_model:
        raise required("source_model")
    parent = canonical(request.parent)
    source = models.find(world, request.source_model)
    if project_of(source.name) != project_of(parent):
        raise invalid("source_model", f"The model {request.source_model} is not in the project of {request.parent}.")
    model = message_class("Model")()
    model.CopyFrom(source)
    for field in _MADE_ANEW:
        model.ClearField(field)
    model.model_source_info.copy = True
    model.original_model_info.model = f"{source.name}@{source.version_id}"
    if request.HasField("encryption_spec"):
        model.encryption_spec.CopyFrom(request.encryption_spec)
    name, number = models.register(world, parent, model, request.model_id, request.parent_model)
    response = new("CopyModelResponse", model=name, model_version_id=number)
    return operations.finished(world, name, response, new("CopyModelOperationMetadata"))


METHODS: Mapping[str, Method] = {"ModelService.CopyModel": copy}
