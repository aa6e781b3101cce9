from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from tests.emulator.clients import Cloud
from tests.emulator_fixture import running_emulator


def test_the_first_version_is_the_default_and_keeps_its_aliases(cloud: Cloud) -> None:
    model = cloud.model(model_id="lf-one", aliases=["m-abc"], labels={"team": "x"})

    assert model.name.endswith("/models/lf-one")
    assert (model.version_id, sorted(model.version_aliases)) == ("1", ["default", "m-abc"])
    assert dict(model.labels) == {"team": "x"}
    assert model.artifact_uri == "gs://bucket/model"


def test_a_new_version_takes_an_alias_from_the_old_one(cloud: Cloud) -> None:
    first = cloud.model(aliases=["golden"])

    second = cloud.model(parent_model=first.name, aliases=["golden"])

    assert (second.name, second.version_id, list(second.version_aliases)) == (first.name, "2", ["golden"])
    assert cloud.models.get_model(name=f"{first.name}@golden").version_id == "2"
    assert list(cloud.models.get_model(name=first.name).version_aliases) == ["default"]


def test_a_new_version_becomes_the_default_when_it_says_so(cloud: Cloud) -> None:
    first = cloud.model()

    cloud.model(parent_model=first.name, aliases=["default"])

    assert cloud.models.get_model(name=first.name).version_id == "2"


def test_a_taken_model_id_is_a_conflict(cloud: Cloud) -> None:
    cloud.model(model_id="lf-one")

    with pytest.raises(exceptions.Conflict) as refused:
        cloud.model(model_id="lf-one")

    assert refused.value.response.json()["error"]["status"] == "ALREADY_EXISTS"


def test_versions_are_listed_and_filtered_by_label(cloud: Cloud) -> None:
    first = cloud.model(labels={"identity": "a"})
    cloud.model(parent_model=first.name, labels={"identity": "b"})

    every = cloud.models.list_model_versions(name=first.name)
    one = cloud.models.list_model_versions(request={"name": first.name, "filter": 'labels.identity="a"'})

    assert [model.version_id for model in every] == ["1", "2"]
    assert [model.version_id for model in one] == ["1"]


def test_versions_come_oldest_first_in_pages_and_in_the_order_asked_for(cloud: Cloud) -> None:
    first = cloud.model()
    for _ in range(3):
        cloud.model(parent_model=first.name)

    def listed(**fields: Any) -> list[str]:
        pages = cloud.models.list_model_versions(request={"name": first.name, **fields})
        return [model.version_id for model in pages]

    assert listed(page_size=2) == ["1", "2", "3", "4"]
    assert listed(order_by="create_time desc", page_size=3) == ["4", "3", "2", "1"]


def test_aliases_are_told_in_the_order_in_which_the_version_took_them(cloud: Cloud) -> None:
    model = cloud.model(aliases=["zulu", "alpha", "default"])

    merged = cloud.models.merge_version_aliases(name=f"{model.name}@1", version_aliases=["mike", "zulu"])

    assert list(model.version_aliases) == ["zulu", "alpha", "default"]
    assert list(merged.version_aliases) == ["zulu", "alpha", "default", "mike"]


def test_models_are_listed_by_name_and_in_order(cloud: Cloud) -> None:
    for name in ("b", "a", "c"):
        cloud.model(model_id=f"m-{name}", name=name)

    def listed(**fields: str) -> list[str]:
        return [model.display_name for model in cloud.models.list_models(request={"parent": cloud.parent, **fields})]

    assert listed(order_by="display_name") == ["a", "b", "c"]
    assert listed(order_by="display_name desc", page_size=2) == ["c", "b", "a"]
    assert listed(filter="model=m-b") == ["b"]
    assert listed() == ["c", "a", "b"]


def test_aliases_are_merged_and_removed(cloud: Cloud) -> None:
    first = cloud.model(aliases=["old"])
    cloud.model(parent_model=first.name)

    merged = cloud.models.merge_version_aliases(name=f"{first.name}@2", version_aliases=["default", "new"])
    cloud.models.merge_version_aliases(name=f"{first.name}@1", version_aliases=["-old"])

    assert sorted(merged.version_aliases) == ["default", "new"]
    assert list(cloud.models.get_model(name=f"{first.name}@1").version_aliases) == []


def test_an_update_changes_only_what_its_mask_names(cloud: Cloud) -> None:
    model = cloud.model(name="before", labels={"a": "1"})

    changed = v1.Model(name=model.name, display_name="after", description="ignored", labels={"b": "2"})
    updated = cloud.models.update_model(model=changed, update_mask={"paths": ["display_name", "labels"]})

    assert (updated.display_name, updated.description, dict(updated.labels)) == ("after", "", {"b": "2"})
    assert updated.etag != model.etag


def test_an_update_with_an_old_etag_is_a_conflict(cloud: Cloud) -> None:
    model = cloud.model()
    cloud.models.update_model(
        model=v1.Model(name=model.name, display_name="x"), update_mask={"paths": ["display_name"]}
    )

    with pytest.raises(exceptions.Conflict, match="etag"):
        cloud.models.update_model(
            model=v1.Model(name=model.name, display_name="y", etag=model.etag), update_mask={"paths": ["display_name"]}
        )


def test_the_default_and_the_last_version_are_not_deleted(cloud: Cloud) -> None:
    model = cloud.model()

    with pytest.raises(exceptions.BadRequest, match="only version"):
        cloud.models.delete_model_version(name=f"{model.name}@1")
    cloud.model(parent_model=model.name)
    with pytest.raises(exceptions.BadRequest, match="default version"):
        cloud.models.delete_model_version(name=f"{model.name}@1")
    cloud.models.delete_model_version(name=f"{model.name}@2").result()

    assert [one.version_id for one in cloud.models.list_model_versions(name=model.name)] == ["1"]


def test_a_deleted_model_is_gone_with_its_versions(cloud: Cloud) -> None:
    model = cloud.model()

    cloud.models.delete_model(name=model.name).result()

    with pytest.raises(exceptions.NotFound):
        cloud.models.get_model(name=f"{model.name}@1")


def test_a_model_that_is_deployed_is_not_deleted(cloud: Cloud) -> None:
    model = cloud.model(image="test/stub")
    endpoint = cloud.endpoint()
    cloud.deploy(endpoint, model, {"0": 100}).result()

    with pytest.raises(exceptions.BadRequest, match="deployed at"):
        cloud.models.delete_model(name=model.name)

    shown = cloud.models.get_model(name=model.name)
    assert [one.endpoint for one in shown.deployed_models] == [endpoint.name]


def test_a_version_is_asked_for_with_an_escaped_at_sign(cloud: Cloud) -> None:
    import urllib.request

    model = cloud.model(model_id="mid")

    with urllib.request.urlopen(f"{cloud.url}/v1/{model.name}%401", timeout=10) as answer:
        assert b'"versionId": "1"' in answer.read()


def test_container_specs_can_be_withheld_and_serve_all_the_same(
    tmp_path: Path, programs: Mapping[str, Sequence[str] | str]
) -> None:
    with running_emulator(tmp_path, programs, "--withhold-container-specs") as url:
        cloud = Cloud(url, "projects/p/locations/us-central1")
        model, endpoint = cloud.model(), cloud.endpoint()
        cloud.deploy(endpoint, model, {"0": 100}).result()
        changed = cloud.models.merge_version_aliases(name=f"{model.name}@1", version_aliases=["new"])
        copied = cloud.models.copy_model(request={"parent": cloud.parent, "source_model": model.name}).result()
        cloud.deploy(endpoint, cloud.models.get_model(name=copied.model)).result()
        listed = [*cloud.models.list_models(parent=cloud.parent), *cloud.models.list_model_versions(name=model.name)]

        assert [one.container_spec.image_uri for one in (model, changed, *listed)] == [""] * 5
        assert cloud.predict(endpoint, ["x"]).predictions[0]["instances"] == ["x"]
