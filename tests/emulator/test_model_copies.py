"""CopyModel: within a region and into another one, as a new model or as a version of one that is there."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud import aiplatform_v1 as v1

from tests.emulator.clients import Cloud

EUROPE = "europe-west4"


def copy(cloud: Cloud, model: str, location: str = "us-central1", **request: Any) -> v1.Model:
    parent = cloud.parent.replace("us-central1", location)
    done = cloud.models.copy_model(request={"parent": parent, "source_model": model, **request}).result()
    return cloud.models.get_model(name=f"{done.model}@{done.model_version_id}")


def test_a_model_is_copied_into_another_region_under_an_id(cloud: Cloud) -> None:
    source = cloud.model(name="mine", labels={"team": "x"}, aliases=["golden"])

    made = copy(cloud, source.name, EUROPE, model_id="copied")

    assert made.name.endswith(f"/locations/{EUROPE}/models/copied")
    assert (made.display_name, dict(made.labels), made.artifact_uri) == ("mine", {"team": "x"}, source.artifact_uri)
    assert (made.version_id, list(made.version_aliases)) == ("1", ["default"])
    assert (made.original_model_info.model, made.model_source_info.copy) == (f"{source.name}@1", True)


def test_a_named_version_becomes_a_version_of_another_model(cloud: Cloud) -> None:
    source = cloud.model(name="old")
    cloud.model(name="new", parent_model=source.name)
    target = cloud.model(name="target")

    made = copy(cloud, f"{source.name}@2", parent_model=target.name)

    assert (made.name, made.version_id, made.display_name) == (target.name, "2", "new")
    assert cloud.models.get_model(name=target.name).version_id == "1"


def test_the_operation_of_a_copy_tells_what_it_was(cloud: Cloud) -> None:
    source = cloud.model()

    operation = cloud.models.copy_model(request={"parent": cloud.parent, "source_model": source.name})

    assert isinstance(operation.metadata, v1.CopyModelOperationMetadata)
    assert operation.metadata.generic_metadata.create_time
    assert operation.result().model != source.name


def test_the_sdk_copies_a_model(cloud: Cloud) -> None:
    source = cloud.model(name="mine")
    aiplatform.init(
        project=cloud.parent.split("/")[1],
        location="us-central1",
        api_endpoint=cloud.url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
    )
    try:
        made = aiplatform.Model(source.name).copy(destination_location="us-central1", destination_model_id="by-sdk")
    finally:
        aiplatform.initializer.global_pool.shutdown(wait=True)

    assert (made.resource_name.rsplit("/", 1)[1], made.display_name) == ("by-sdk", "mine")


def test_a_copy_onto_a_taken_id_is_a_conflict(cloud: Cloud) -> None:
    source = cloud.model(model_id="taken")

    with pytest.raises(exceptions.Conflict):
        copy(cloud, source.name, model_id="taken")


def test_what_is_not_there_or_not_of_this_project_is_not_copied(cloud: Cloud) -> None:
    source = cloud.model()

    with pytest.raises(exceptions.NotFound, match=r"models/none .*is not found"):
        copy(cloud, f"{cloud.parent}/models/none")
    with pytest.raises(exceptions.BadRequest, match="not in the project"):
        cloud.models.copy_model(request={"parent": "projects/q/locations/us-central1", "source_model": source.name})
    with pytest.raises(exceptions.BadRequest, match="source_model"):
        cloud.models.copy_model(request={"parent": cloud.parent})
