"""Objects once they are there: metadata, versions, holds, copies, compositions, moves and deletes."""

from __future__ import annotations

import httpx
import pytest
from google.api_core.exceptions import BadRequest, Forbidden, MethodNotImplemented, NotFound
from google.cloud import storage


@pytest.fixture
def stored(bucket: storage.Bucket) -> storage.Blob:
    blob = bucket.blob("one")
    blob.metadata = {"a": "1", "b": "2"}
    blob.upload_from_string("hello", content_type="text/plain")
    return blob


@pytest.fixture
def versioned(bucket: storage.Bucket) -> storage.Bucket:
    bucket.versioning_enabled = True
    bucket.patch()
    for content in ("first", "second"):
        bucket.blob("one").upload_from_string(content)
    return bucket


# Metadata


def test_patch_changes_metadata_key_by_key(bucket: storage.Bucket, stored: storage.Blob) -> None:
    stored.metadata = {"a": None, "c": "3"}

    stored.patch()

    assert bucket.get_blob("one").metadata == {"b": "2", "c": "3"}


def test_patch_raises_the_metageneration_only(bucket: storage.Bucket, stored: storage.Blob) -> None:
    before = stored.generation
    stored.cache_control = "no-cache"

    stored.patch()

    assert (stored.generation, stored.metageneration) == (before, 2)
    assert bucket.blob("one").download_as_bytes() == b"hello"


def test_update_replaces_what_may_be_written(bucket: storage.Bucket, stored: storage.Blob) -> None:
    other = bucket.blob("one")
    other.content_type = "text/html"

    other.update()

    found = bucket.get_blob("one")
    assert (found.content_type, found.metadata) == ("text/html", None)


def test_metadata_of_another_type_is_refused(raw: httpx.Client, stored: storage.Blob) -> None:
    answer = raw.patch(f"/storage/v1/b/{stored.bucket.name}/o/one", json={"metadata": ["a"]})

    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, "invalid")


def test_output_only_fields_in_a_patch_are_ignored(raw: httpx.Client, stored: storage.Blob) -> None:
    answer = raw.patch(f"/storage/v1/b/{stored.bucket.name}/o/one", json={"size": "7", "generation": "1"})

    assert (answer.status_code, answer.json()["size"]) == (200, "5")


def test_patch_of_a_missing_object_is_not_found(bucket: storage.Bucket) -> None:
    with pytest.raises(NotFound, match="No such object"):
        bucket.blob("nope").patch()


def test_the_record_has_googles_fields(raw: httpx.Client, stored: storage.Blob) -> None:
    found = raw.get(f"/storage/v1/b/{stored.bucket.name}/o/one").json()

    assert found["kind"] == "storage#object"
    assert found["id"] == f"{stored.bucket.name}/one/{stored.generation}"
    assert found["selfLink"] == f"{str(raw.base_url).rstrip('/')}/storage/v1/b/{stored.bucket.name}/o/one"
    assert found["timeCreated"] == found["updated"]
    assert found["timeCreated"].endswith("Z")


# Deletes and versions


def test_a_deleted_object_is_gone(bucket: storage.Bucket, stored: storage.Blob) -> None:
    stored.delete()

    assert not bucket.blob("one").exists()


def test_a_missing_object_cannot_be_deleted(bucket: storage.Bucket) -> None:
    with pytest.raises(NotFound, match="No such object"):
        bucket.blob("nope").delete()


def test_an_overwritten_object_is_gone_without_versioning(bucket: storage.Bucket, stored: storage.Blob) -> None:
    first = stored.generation
    bucket.blob("one").upload_from_string("new")

    with pytest.raises(NotFound):
        bucket.blob("one", generation=first).download_as_bytes()


def test_an_overwritten_version_is_kept_with_versioning(versioned: storage.Bucket) -> None:
    first, second = versioned.list_blobs(versions=True)

    assert (first.download_as_bytes(), second.download_as_bytes()) == (b"first", b"second")
    assert first.time_deleted is not None
    assert second.time_deleted is None


def test_a_delete_makes_the_live_version_noncurrent(versioned: storage.Bucket) -> None:
    versioned.delete_blob("one")

    assert not versioned.blob("one").exists()
    assert len(list(versioned.list_blobs(versions=True))) == 2
    assert list(versioned.list_blobs()) == []


def test_a_delete_of_a_generation_is_for_good(versioned: storage.Bucket) -> None:
    first, second = versioned.list_blobs(versions=True)

    versioned.delete_blob("one", generation=first.generation)

    assert [blob.generation for blob in versioned.list_blobs(versions=True)] == [second.generation]


def test_versions_are_listed_by_pages(versioned: storage.Bucket) -> None:
    versioned.blob("two").upload_from_string("x")

    found = [blob.name for blob in versioned.list_blobs(versions=True, page_size=1)]

    assert found == ["one", "one", "two"]


def test_a_noncurrent_version_can_be_brought_back_by_a_copy(versioned: storage.Bucket) -> None:
    first = next(iter(versioned.list_blobs(versions=True)))

    versioned.copy_blob(versioned.blob("one"), versioned, "one", source_generation=first.generation)

    assert versioned.blob("one").download_as_bytes() == b"first"
    assert len(list(versioned.list_blobs(versions=True))) == 3


def test_a_held_object_cannot_be_deleted(stored: storage.Blob) -> None:
    stored.temporary_hold = True
    stored.patch()

    with pytest.raises(Forbidden, match="under active Temporary hold"):
        stored.delete()


def test_a_held_object_cannot_be_overwritten(bucket: storage.Bucket, stored: storage.Blob) -> None:
    stored.event_based_hold = True
    stored.patch()

    with pytest.raises(Forbidden, match="Event-Based hold"):
        bucket.blob("one").upload_from_string("new")


# Copies


def test_a_copy_has_the_bytes_and_the_metadata(bucket: storage.Bucket, stored: storage.Blob) -> None:
    copy = bucket.copy_blob(stored, bucket, "two")

    assert copy.download_as_bytes() == b"hello"
    assert (copy.metadata, copy.content_type) == (stored.metadata, "text/plain")
    assert copy.generation > stored.generation


def test_a_copy_outlives_its_source(bucket: storage.Bucket, stored: storage.Blob) -> None:
    bucket.copy_blob(stored, bucket, "two")

    stored.delete()

    assert bucket.blob("two").download_as_bytes() == b"hello"


def test_a_source_outlives_its_copy(bucket: storage.Bucket, stored: storage.Blob) -> None:
    bucket.copy_blob(stored, bucket, "two").delete()

    assert bucket.blob("one").download_as_bytes() == b"hello"


def test_a_copy_goes_into_another_bucket(client: storage.Client, stored: storage.Blob) -> None:
    other = client.create_bucket(stored.bucket.name + "2")

    stored.bucket.copy_blob(stored, other)

    assert other.blob("one").download_as_bytes() == b"hello"


def test_a_copy_of_a_missing_object_is_not_found(bucket: storage.Bucket) -> None:
    with pytest.raises(NotFound):
        bucket.copy_blob(bucket.blob("nope"), bucket, "two")


def test_a_copy_into_a_missing_bucket_is_not_found(client: storage.Client, stored: storage.Blob) -> None:
    with pytest.raises(NotFound):
        stored.bucket.copy_blob(stored, client.bucket("no-such-bucket-here"))


def test_a_rewrite_is_done_in_one_call(bucket: storage.Bucket, stored: storage.Blob) -> None:
    token, done, total = bucket.blob("two").rewrite(stored)

    assert (token, done, total) == (None, 5, 5)
    assert bucket.blob("two").download_as_bytes() == b"hello"


def test_a_rewrite_takes_new_metadata(bucket: storage.Bucket, stored: storage.Blob) -> None:
    target = bucket.blob("two")
    target.metadata = {"new": "yes"}

    target.rewrite(stored)

    assert bucket.get_blob("two").metadata == {"new": "yes"}


def test_the_storage_class_is_changed_by_a_rewrite(bucket: storage.Bucket, stored: storage.Blob) -> None:
    stored.update_storage_class("NEARLINE")

    found = bucket.get_blob("one")
    assert (found.storage_class, found.metadata) == ("NEARLINE", {"a": "1", "b": "2"})


def test_compose_puts_objects_one_after_another(bucket: storage.Bucket) -> None:
    parts = [bucket.blob(name) for name in ("x", "y", "z")]
    for part in parts:
        part.upload_from_string(part.name * 3)
    whole = bucket.blob("whole")
    whole.content_type = "text/plain"

    whole.compose(parts)

    assert whole.download_as_bytes() == b"xxxyyyzzz"
    assert (whole.component_count, whole.md5_hash, whole.content_type) == (3, None, "text/plain")


def test_a_composition_counts_the_components_of_its_sources(bucket: storage.Bucket, stored: storage.Blob) -> None:
    twice = bucket.blob("twice")
    twice.compose([stored, stored])

    twice.compose([twice, stored])

    assert (twice.component_count, twice.download_as_bytes()) == (3, b"hello" * 3)


def test_compose_of_a_missing_object_is_not_found(bucket: storage.Bucket, stored: storage.Blob) -> None:
    with pytest.raises(NotFound):
        bucket.blob("whole").compose([stored, bucket.blob("nope")])


def test_compose_of_too_many_objects_is_refused(bucket: storage.Bucket, stored: storage.Blob) -> None:
    with pytest.raises(BadRequest, match="exceeds the maximum"):
        bucket.blob("whole").compose([stored] * 33)


def test_a_move_takes_the_object_along(raw: httpx.Client, bucket: storage.Bucket, stored: storage.Blob) -> None:
    moved = bucket.move_blob(stored, "two")

    assert (moved.name, moved.metadata) == ("two", stored.metadata)
    assert [blob.name for blob in bucket.list_blobs()] == ["two"]


def test_rename_is_a_copy_and_a_delete(bucket: storage.Bucket, stored: storage.Blob) -> None:
    bucket.rename_blob(stored, "two")

    assert [blob.name for blob in bucket.list_blobs()] == ["two"]


# What is not there


def test_access_control_lists_say_that_they_are_not_implemented(bucket: storage.Bucket) -> None:
    with pytest.raises(MethodNotImplemented, match=r"does not implement GET .*acl"):
        bucket.acl.reload(client=bucket.client)


def test_an_unknown_address_is_not_found(raw: httpx.Client) -> None:
    assert raw.get("/storage/v1/nonsense").status_code == 404
