"""Buckets that keep what was deleted for a while, objects and buckets alike."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.cloud import storage

from reconciler.emulator.gcs.buckets import Buckets

WEEK = 7 * 86_400


@pytest.fixture
def keeping(client: storage.Client) -> storage.Bucket:
    """A bucket that keeps for a week what was deleted."""
    bucket = client.bucket(f"bucket-{uuid.uuid4().hex}")
    bucket.soft_delete_policy.retention_duration_seconds = WEEK
    return client.create_bucket(bucket)


def deleted(bucket: storage.Bucket, name: str, content: str = "kept") -> int:
    """Write an object and delete it; its generation."""
    blob = bucket.blob(name)
    blob.upload_from_string(content)
    blob.delete()
    return int(blob.generation)


def test_a_policy_says_since_when_it_holds_and_keeps_that_time_while_it_is_the_same(keeping: storage.Bucket) -> None:
    since = keeping.soft_delete_policy.effective_time

    keeping.labels = {"team": "x"}
    keeping.patch()
    unchanged = keeping.soft_delete_policy.effective_time
    keeping.soft_delete_policy.retention_duration_seconds = 10 * 86_400
    keeping.patch()

    assert (since is not None, unchanged) == (True, since)
    assert keeping.soft_delete_policy.effective_time > since


def test_a_deleted_object_is_listed_only_where_it_is_asked_for(keeping: storage.Bucket) -> None:
    generation = deleted(keeping, "one")

    found = keeping.get_blob("one", generation=generation, soft_deleted=True)

    assert list(keeping.list_blobs(versions=True)) == []
    assert [blob.name for blob in keeping.list_blobs(soft_deleted=True)] == ["one"]
    assert found.hard_delete_time - found.soft_delete_time == timedelta(seconds=WEEK)
    with pytest.raises(NotFound):
        keeping.blob("one", generation=generation).download_as_bytes()


def test_an_overwritten_object_is_kept_too(keeping: storage.Bucket) -> None:
    for content in ("first", "second"):
        keeping.blob("one").upload_from_string(content)

    assert [blob.size for blob in keeping.list_blobs(soft_deleted=True)] == [5]
    assert [blob.size for blob in keeping.list_blobs()] == [6]


def test_a_restored_object_is_live_under_a_new_generation(keeping: storage.Bucket) -> None:
    generation = deleted(keeping, "one", "back again")

    restored = keeping.restore_blob("one", generation=generation)

    assert restored.generation > generation
    assert keeping.blob("one").download_as_bytes() == b"back again"
    assert restored.soft_delete_time is None


def test_what_was_never_deleted_is_not_restored(keeping: storage.Bucket) -> None:
    with pytest.raises(NotFound):
        keeping.restore_blob("none", generation=1)
    with pytest.raises(BadRequest, match="generation"):
        keeping.restore_blob("none")


def test_without_a_policy_what_is_deleted_is_gone(bucket: storage.Bucket) -> None:
    deleted(bucket, "one")

    assert list(bucket.list_blobs(soft_deleted=True)) == []


def test_a_deleted_bucket_comes_back_with_what_is_deleted_in_it(
    client: storage.Client, keeping: storage.Bucket
) -> None:
    generation = deleted(keeping, "one")
    keeping.delete()

    seen = client.get_bucket(keeping.name, generation=keeping.generation, soft_deleted=True)
    restored = client.restore_bucket(keeping.name, generation=keeping.generation)

    assert (seen.soft_delete_time is not None, restored.soft_delete_time) == (True, None)
    assert keeping.name in [bucket.name for bucket in client.list_buckets()]
    assert keeping.restore_blob("one", generation=generation).exists()


def test_a_deleted_bucket_whose_name_is_taken_stays_deleted(client: storage.Client, keeping: storage.Bucket) -> None:
    keeping.delete()
    client.create_bucket(keeping.name)

    with pytest.raises(Conflict, match="has been taken"):
        client.restore_bucket(keeping.name, generation=keeping.generation)


def test_what_was_kept_long_enough_is_gone_with_its_bytes(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    buckets = Buckets(tmp_path, lambda: now[0])
    buckets.create_bucket("one-bucket", settings={"softDeletePolicy": {"retentionDurationSeconds": "60"}})
    for name in ("a", "b"):
        buckets.put("one-bucket", name, b"x" * 100)
    buckets.delete("one-bucket", "a")
    stored = buckets.blobs.path(buckets.get("one-bucket", "b").blob)

    buckets.delete("one-bucket", "b")
    kept = stored.exists()
    now[0] += timedelta(seconds=61)
    buckets.close()
    Buckets(tmp_path, lambda: now[0]).close()

    assert (kept, stored.exists()) == (True, False)
