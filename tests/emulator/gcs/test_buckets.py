"""Buckets through the official client."""

from __future__ import annotations

import uuid

import httpx
import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from reconciler.emulator.gcs.names import number_of
from tests.emulator.gcs.conftest import Served


def new_name() -> str:
    return f"bucket-{uuid.uuid4().hex}"


def test_a_new_bucket_has_googles_defaults(client: storage.Client) -> None:
    bucket = client.create_bucket(new_name())

    assert (bucket.location, bucket.location_type, bucket.storage_class) == ("US", "multi-region", "STANDARD")
    assert (bucket.metageneration, bucket.versioning_enabled) == (1, False)
    assert bucket.time_created is not None


def test_a_bucket_carries_the_number_of_its_project(client: storage.Client) -> None:
    bucket = client.create_bucket(new_name())

    assert str(bucket.project_number) == number_of("test-project")


def test_a_bucket_is_created_where_the_client_says(client: storage.Client) -> None:
    bucket = client.create_bucket(new_name(), location="europe-west4")

    assert (bucket.location, bucket.location_type) == ("EUROPE-WEST4", "region")


def test_a_second_bucket_of_a_name_is_a_conflict(client: storage.Client, bucket: storage.Bucket) -> None:
    with pytest.raises(Conflict, match="you already own it"):
        client.create_bucket(bucket.name)


@pytest.mark.parametrize("name", ["ab", "Upper-case", "goog-x", "1.2.3.4", "a" * 64, "my-google-bucket", "a..b"])
def test_a_bucket_name_outside_googles_rules_is_refused(client: storage.Client, name: str) -> None:
    with pytest.raises(BadRequest, match="Invalid bucket name"):
        client.create_bucket(name)


def test_a_missing_bucket_is_not_found(client: storage.Client) -> None:
    with pytest.raises(NotFound, match="The specified bucket does not exist"):
        client.get_bucket(new_name())


def test_lookup_answers_none_for_a_missing_bucket(client: storage.Client) -> None:
    assert client.lookup_bucket(new_name()) is None


def test_patch_changes_labels_key_by_key(client: storage.Client, bucket: storage.Bucket) -> None:
    bucket.labels = {"a": "1", "b": "2"}
    bucket.patch()
    found = client.get_bucket(bucket.name)
    labels = found.labels
    del labels["a"]
    labels["c"] = "3"
    found.labels = labels

    found.patch()

    assert client.get_bucket(bucket.name).labels == {"b": "2", "c": "3"}


def test_patch_raises_the_metageneration(bucket: storage.Bucket) -> None:
    bucket.versioning_enabled = True

    bucket.patch()

    assert (bucket.metageneration, bucket.versioning_enabled) == (2, True)


def test_patch_with_an_old_metageneration_is_refused(bucket: storage.Bucket) -> None:
    bucket.storage_class = "NEARLINE"

    with pytest.raises(PreconditionFailed):
        bucket.patch(if_metageneration_match=7)


def test_update_replaces_what_may_be_written(client: storage.Client, bucket: storage.Bucket) -> None:
    bucket.labels = {"a": "1"}
    bucket.patch()
    bucket.labels = {}

    bucket.update()

    found = client.get_bucket(bucket.name)
    assert (found.labels, found.location) == ({}, "US")


def test_a_storage_class_that_was_taken_away_is_the_default(raw: httpx.Client, bucket: storage.Bucket) -> None:
    raw.patch(f"/storage/v1/b/{bucket.name}", json={"storageClass": None})

    answer = raw.put(f"/storage/v1/b/{bucket.name}", json={"labels": {"a": "1"}})

    assert (answer.status_code, answer.json()["storageClass"]) == (200, "STANDARD")


def test_lifecycle_rules_come_back_as_they_were_set(client: storage.Client, bucket: storage.Bucket) -> None:
    bucket.add_lifecycle_delete_rule(age=7)

    bucket.patch()

    assert [dict(rule) for rule in client.get_bucket(bucket.name).lifecycle_rules] == [
        {"action": {"type": "Delete"}, "condition": {"age": 7}}
    ]


def test_an_empty_bucket_can_be_deleted(client: storage.Client, bucket: storage.Bucket) -> None:
    bucket.delete()

    assert not bucket.exists()


def test_a_bucket_with_an_object_cannot_be_deleted(bucket: storage.Bucket) -> None:
    bucket.blob("one").upload_from_string("1")

    with pytest.raises(Conflict, match="not empty"):
        bucket.delete()


def test_a_bucket_with_objects_is_deleted_by_force(bucket: storage.Bucket) -> None:
    bucket.blob("one").upload_from_string("1")
    bucket.blob("two").upload_from_string("2")

    bucket.delete(force=True)

    assert not bucket.exists()


def test_buckets_are_listed_by_prefix_and_by_pages(client: storage.Client) -> None:
    prefix = f"paged-{uuid.uuid4().hex[:8]}-"
    for number in range(5):
        client.create_bucket(f"{prefix}{number}")

    found = [bucket.name for bucket in client.list_buckets(prefix=prefix, page_size=2)]

    assert found == [f"{prefix}{number}" for number in range(5)]


def test_a_project_lists_its_own_buckets(served: Served, bucket: storage.Bucket) -> None:
    with_project = storage.Client(
        project="another", credentials=AnonymousCredentials(), client_options={"api_endpoint": served.url}
    )

    found = [one.name for one in with_project.list_buckets()]

    assert bucket.name not in found


def test_a_client_that_only_knows_the_environment_finds_the_buckets(
    served: Served, bucket: storage.Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", served.url)
    plain = storage.Client()

    found = [one.name for one in plain.list_buckets()]

    assert bucket.name in found


def test_the_service_account_of_a_project_has_its_number(client: storage.Client) -> None:
    assert number_of("test-project") in client.get_service_account_email()
