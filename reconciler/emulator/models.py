"""ModelService: the registry. Models have versions, versions have aliases; exactly one version is the `default`.

A row `model` holds the aliases and the next version number, rows `version` the models as uploaded. What is deployed
from a version is asked of the deployments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reconciler.emulator import operations
from reconciler.emulator.listing import Shown, page
from reconciler.emulator.model_checks import check_model, checked_alias, checked_id
from reconciler.emulator.store import Row
from reconciler.emulator.wire.checks import check_display_name, check_labels, copy_field, masked_paths
from reconciler.emulator.wire.codec import Message, message_class, new, to_json
from reconciler.emulator.wire.errors import invalid, not_found, precondition, taken
from reconciler.emulator.wire.etags import check_etag, etag
from reconciler.emulator.wire.names import canonical, last, new_id, parent_of
from reconciler.emulator.world import Method, World, stamp

KIND, VERSION = "model", "version"
CUSTOM, DEDICATED_RESOURCES = 2, 1  # a ModelSourceType and a DeploymentResourcesType
DEPLOYMENT = "deployment"
_FIELDS = {"model", "name", "display_name", "labels", "base_model_name", "create_time", "update_time", "version_id"}
_ORDERS = {"display_name", "create_time", "update_time"}
_OF_MODEL, _OF_VERSION = {"display_name", "description"}, {"version_description"}
_OUTPUTS = (
    "version_id", "version_create_time", "version_update_time", "supported_export_formats", "training_pipeline",
    "pipeline_job", "create_time", "update_time", "deployed_models", "original_model_info", "metadata_artifact",
    "supported_deployment_resources_types", "supported_input_storage_formats", "supported_output_storage_formats",
    "satisfies_pzs", "satisfies_pzi", "data_stats",
)  # fmt: skip


def upload(world: World, request: Message) -> Message:
    """UploadModel: a new model, or a new version of `parent_model`."""
    check_model(request.model)
    model = request.model
    for field in (*_OUTPUTS, "etag"):
        model.ClearField(field)
    if model.model_source_info.source_type == 0:
        model.model_source_info.source_type = CUSTOM
    name, number = register(world, canonical(request.parent), model, request.model_id, request.parent_model)
    response = new("UploadModelResponse", model=name, model_version_id=number)
    return operations.finished(world, name, response, new("UploadModelOperationMetadata"))


def register(world: World, parent: str, model: Message, model_id: str, parent_model: str) -> tuple[str, str]:
    """Store a new model under `parent`, or a new version of `parent_model`: (its name, the number of the version).

    Raises NOT_FOUND, ALREADY_EXISTS, INVALID_ARGUMENT.
    """
    if parent_model:
        row = _model(world, canonical(parent_model).split("@")[0])
        if parent_of(row.name) != parent:
            raise invalid("parent_model", f"The parent model {row.name} is not in {parent}.")
    else:
        name = f"{parent}/models/{checked_id(model_id) or new_id()}"
        row = Row(KIND, name, parent, b"", {"next": 1, "aliases": {}})
        if world.store.get(KIND, name) is not None:
            raise taken(name)
    number = str(row.extra["next"])
    aliases: dict[str, str] = dict(row.extra["aliases"])
    for alias in model.version_aliases:
        aliases.pop(checked_alias(alias), None)  # aliases are told in the order in which versions took them
        aliases[alias] = number
    aliases.setdefault("default", number)
    model.ClearField("version_aliases")
    model.name, model.version_id = row.name, number
    model.supported_deployment_resources_types[:] = [DEDICATED_RESOURCES]
    model.supported_input_storage_formats[:] = ["jsonl", "bigquery", "csv", "tf-record", "file-list"]
    model.supported_output_storage_formats[:] = ["jsonl", "bigquery"]
    for moment in (model.create_time, model.update_time, model.version_create_time, model.version_update_time):
        stamp(moment, world.clock())
    with world.store.together():
        if number == "1" and not parent_model:
            world.store.add(row)
        extra = {"next": row.extra["next"] + 1, "aliases": aliases}
        world.store.save(Row(KIND, row.name, row.parent, b"", extra))
        world.store.add(Row(VERSION, f"{row.name}@{number}", row.name, model.SerializeToString(), {}))
    return row.name, number


def get(world: World, request: Message) -> Message:
    """GetModel: by name, `name@version` or `name@alias`; without either, the default version."""
    return _told(world, find(world, request.name))


def find(world: World, name: str) -> Message:
    """A model version as GetModel shows it. Raises NOT_FOUND."""
    base, _, wanted = canonical(name).partition("@")
    row = _model(world, base)
    number = row.extra["aliases"].get(wanted or "default", wanted)
    version = world.store.get(VERSION, f"{base}@{number}")
    if version is None:
        raise not_found(f"The Model {name}")
    return _shown(world, row, version)


def list_(world: World, request: Message) -> Message:
    """ListModels: the default version of each."""
    parent = canonical(request.parent)

    def read(row: Row) -> Message | None:
        version = world.store.get(VERSION, f"{row.name}@{row.extra['aliases'].get('default')}")
        return None if version is None else _told(world, _shown(world, row, version))

    found, token = page(
        lambda before: world.store.children(KIND, parent, before=before),
        read,
        request,
        fields=_FIELDS,
        orders=_ORDERS,
        view=lambda model: Shown(model, _VIEW),
        shown="Model",
    )
    return new("ListModelsResponse", models=found, next_page_token=token)


def list_versions(world: World, request: Message) -> Message:
    """ListModelVersions, from the first version on, unlike every other list."""
    row = _model(world, canonical(request.name).split("@")[0])
    found, token = page(
        lambda after: (one for one in world.store.born(VERSION, row.name) if one.seq > (after or 0)),
        lambda version: _told(world, _shown(world, row, version)),
        request,
        fields=_FIELDS,
        orders=_ORDERS,
        view=lambda model: Shown(model, _VIEW),
        shown="Model",
    )
    return new("ListModelVersionsResponse", models=found, next_page_token=token)


def update(world: World, request: Message) -> Message:
    """UpdateModel: fields of the model (name without version) or of one version, never both at once."""
    asked = request.model
    base, _, wanted = canonical(asked.name).partition("@")
    of_version = bool(wanted) and wanted != "-"
    current = find(world, f"{base}@{wanted}" if of_version else base)
    paths = masked_paths(request.update_mask, asked, _OF_MODEL | _OF_VERSION | {"labels"}, "model")
    wrong = set(paths) & (_OF_MODEL if of_version else _OF_VERSION)
    if wrong:
        kind = "model version" if of_version else "model"
        raise precondition(f"The fields {', '.join(sorted(wrong))} do not belong to a {kind} name ({asked.name}).")
    check_etag(asked.etag, current.etag, current.name)
    if "labels" in paths:
        check_labels(asked.labels, "model.labels")
    if "display_name" in paths:
        check_display_name(asked.display_name, "model.display_name")
    for version in world.store.children(VERSION, base):
        own = version.name == f"{base}@{current.version_id}"
        mine = [path for path in paths if own or path.split(".")[0] in _OF_MODEL]
        if mine:
            model = message_class("Model").FromString(version.body)
            for path in mine:
                copy_field(asked, model, path)
            stamp(model.update_time, world.clock())
            if of_version:
                stamp(model.version_update_time, world.clock())
            world.store.save(Row(VERSION, version.name, base, model.SerializeToString(), {}))
    return _told(world, find(world, f"{base}@{current.version_id}"))


def merge_aliases(world: World, request: Message) -> Message:
    """MergeVersionAliases: adds aliases to a version, taking them from others; `-alias` removes."""
    base, _, wanted = canonical(request.name).partition("@")
    number = find(world, request.name).version_id
    if not wanted:
        raise invalid("name", f"The name {request.name} has no version: write models/ID@VERSION.")
    row = _model(world, base)
    aliases: dict[str, str] = dict(row.extra["aliases"])
    for alias in request.version_aliases:
        bare = checked_alias(alias.removeprefix("-"))
        if not alias.startswith("-"):
            if aliases.get(bare) != number:
                aliases.pop(bare, None)
            aliases[bare] = number
        elif bare == "default":
            raise invalid("version_aliases", "The alias default cannot be removed: give it to another version.")
        elif aliases.get(bare) == number:
            del aliases[bare]
    world.store.save(Row(KIND, base, row.parent, b"", {**row.extra, "aliases": aliases}))
    return _told(world, find(world, f"{base}@{number}"))


def delete(world: World, request: Message) -> Message:
    """DeleteModel: with all versions, none of which may be deployed."""
    row = _model(world, canonical(request.name).split("@")[0])
    used = deployed(world, row.name)
    if used:
        raise precondition(f"The Model {row.name} is deployed at {', '.join(sorted(set(used)))}. Undeploy it first.")
    with world.store.together():
        for version in list(world.store.children(VERSION, row.name)):
            world.store.drop(VERSION, version.name)
        world.store.drop(KIND, row.name)
    return operations.finished(world, row.name, new("google.protobuf.Empty"), new("DeleteOperationMetadata"))


def delete_version(world: World, request: Message) -> Message:
    """DeleteModelVersion: neither the last one, nor the default one, nor a deployed one."""
    base, _, wanted = canonical(request.name).partition("@")
    if not wanted:
        raise invalid("name", f"The name {request.name} has no version: write models/ID@VERSION.")
    model = find(world, request.name)
    row = _model(world, base)
    used = deployed(world, base, model.version_id)
    if used:
        raise precondition(f"The Model version {request.name} is deployed at {', '.join(sorted(set(used)))}.")
    if len(list(world.store.children(VERSION, base))) == 1:
        raise precondition(f"{request.name} is the only version of its Model. Delete the Model instead.")
    if row.extra["aliases"].get("default") == model.version_id:
        raise precondition(f"{request.name} is the default version. Make another one the default first.")
    aliases = {alias: number for alias, number in row.extra["aliases"].items() if number != model.version_id}
    with world.store.together():
        world.store.drop(VERSION, f"{base}@{model.version_id}")
        world.store.save(Row(KIND, base, row.parent, b"", {**row.extra, "aliases": aliases}))
    return operations.finished(world, base, new("google.protobuf.Empty"), new("DeleteOperationMetadata"))


def deployed(world: World, model: str, version: str = "") -> list[str]:
    """The endpoints at which a model (one version of it) is deployed, or being deployed."""
    return [
        row.parent
        for row in world.store.of_model(DEPLOYMENT, model)
        if version in ("", row.extra["version"]) and row.extra["phase"] != "stopping"
    ]


METHODS: Mapping[str, Method] = {
    "ModelService.UploadModel": upload,
    "ModelService.GetModel": get,
    "ModelService.ListModels": list_,
    "ModelService.ListModelVersions": list_versions,
    "ModelService.UpdateModel": update,
    "ModelService.MergeVersionAliases": merge_aliases,
    "ModelService.DeleteModel": delete,
    "ModelService.DeleteModelVersion": delete_version,
}


def _model(world: World, name: str) -> Row:
    row = world.store.get(KIND, name)
    if row is None:
        raise not_found(f"The Model {name}")
    return row


def _told(world: World, model: Message) -> Message:
    """A model as it leaves the server."""
    if world.settings.withhold_containers:
        model.ClearField("container_spec")
    return model


def _shown(world: World, row: Row, version: Row) -> Message:
    model = message_class("Model").FromString(version.body)
    model.version_aliases.extend(alias for alias, number in row.extra["aliases"].items() if number == model.version_id)
    model.etag = etag(model)
    for one in world.store.of_model(DEPLOYMENT, row.name):
        if one.extra["version"] == model.version_id and one.extra["phase"] == "serving":
            model.deployed_models.add(endpoint=one.parent, deployed_model_id=last(one.name))
    return model


_VIEW: Mapping[str, Callable[[Message], Any]] = {
    "name": lambda model: model.name,
    "displayName": lambda model: model.display_name,
    "labels": lambda model: dict(model.labels),
    "createTime": lambda model: to_json(model.create_time),
    "updateTime": lambda model: to_json(model.update_time),
    "model": lambda model: last(model.name),
    "versionId": lambda model: model.version_id,
}
"""What a filter may ask for."""
