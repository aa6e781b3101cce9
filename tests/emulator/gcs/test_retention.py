"""What keeps an object: its bucket's retention policy, a retention of its own, holds by default."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from google.api_core.exceptions import BadRequest, Forbidden, PreconditionFailed
from google.cloud import storage

from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.gcs.errors import StorageError


@pytest.fixture
def retaining(client: storage.Client) -> storage.Bucket:
    """A bucket that keeps every object for an hour."""
    bucket = client.bucket(f"bucket-{uuid.uuid4().hex}")
    bucket.retention_period = 3600
    return client.create_bucket(bucket)


@pytest.fixture
def lockable(client: storage.Client) -> storage.Bucket:
    """A bucket whose objects may have retentions of their own."""
    return client.create_bucket(f"bucket-{uuid.uuid4().hex}", enable_object_retention=True)


def retained(bucket: storage.Bucket, mode: str = "Unlocked") -> storage.Blob:
    """An object that is kept for an hour."""
    blob = bucket.blob("one")
    blob.retention.mode = mode
    blob.retention.retain_until_time = datetime.now(UTC) + timedelta(hours=1)
    blob.upload_from_string("x")
    return blob


def test_a_young_object_is_neither_deleted_nor_overwritten(retaining: storage.Bucket) -> None:
    blob = retaining.blob("one")
    blob.upload_from_string("x")
    blob.reload()

    assert blob.retention_expiration_time - blob.time_created == timedelta(hours=1)
    with pytest.raises(Forbidden, match="retention policy"):
        blob.delete()
    with pytest.raises(Forbidden, match="retention policy"):
        retaining.blob("one").upload_from_string("y")


def test_an_object_goes_once_its_time_has_come(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    buckets = Buckets(tmp_path, lambda: now[0])
    buckets.create_bucket("one-bucket", settings={"retentionPolicy": {"retentionPeriod": "60"}})
    buckets.put("one-bucket", "a", b"x")

    with pytest.raises(StorageError) as refused:
        buckets.delete("one-bucket", "a")
    now[0] += timedelta(seconds=61)
    buckets.delete("one-bucket", "a")

    assert (refused.value.status, refused.value.reason) == (403, "retentionPolicyNotMet")
    assert buckets.list_objects("one-bucket").items == ()
    buckets.close()


def test_a_policy_says_since_when_it_holds_and_can_be_taken_away(retaining: storage.Bucket) -> None:
    since = retaining.retention_policy_effective_time
    blob = retaining.blob("one")
    blob.upload_from_string("x")

    retaining.retention_period = None
    retaining.patch()

    assert (since is not None, retaining.retention_policy_effective_time) == (True, None)
    blob.delete()


def test_a_locked_policy_grows_and_never_shrinks(retaining: storage.Bucket) -> None:
    retaining.lock_retention_policy()
    retaining.retention_period = 7200
    retaining.patch()

    assert (retaining.retention_policy_locked, retaining.retention_period) == (True, 7200)
    for period in (60, None):
        retaining.retention_period = period
        with pytest.raises(Forbidden, match="locked retention policy"):
            retaining.patch()


def test_a_policy_is_locked_only_as_it_was_seen(
    raw: httpx.Client, retaining: storage.Bucket, bucket: storage.Bucket
) -> None:
    other = storage.Bucket(retaining.client, retaining.name)
    other.reload()
    retaining.labels = {"a": "b"}
    retaining.patch()

    with pytest.raises(PreconditionFailed):
        other.lock_retention_policy()
    missing = raw.post(f"/storage/v1/b/{bucket.name}/lockRetentionPolicy?ifMetagenerationMatch=1")
    unsaid = raw.post(f"/storage/v1/b/{retaining.name}/lockRetentionPolicy")
    assert (missing.status_code, "no retention policy" in missing.text) == (400, True)
    assert (unsaid.status_code, "ifMetagenerationMatch" in unsaid.text) == (400, True)


def test_an_unlocked_retention_is_lifted_only_by_saying_so(lockable: storage.Bucket) -> None:
    blob = retained(lockable)
    with pytest.raises(Forbidden):
        blob.delete()
    blob.retention.mode = None
    blob.retention.retain_until_time = None

    with pytest.raises(Forbidden, match="overrideUnlockedRetention"):
        blob.patch()
    blob.patch(override_unlocked_retention=True)

    assert blob.retention.mode is None
    blob.delete()


def test_a_locked_retention_is_never_shortened(lockable: storage.Bucket) -> None:
    blob = retained(lockable, "Locked")
    blob.retention.retain_until_time = datetime.now(UTC) + timedelta(minutes=1)

    with pytest.raises(Forbidden, match="is locked"):
        blob.patch(override_unlocked_retention=True)


def test_an_object_of_an_ordinary_bucket_has_no_retention_of_its_own(
    lockable: storage.Bucket, bucket: storage.Bucket
) -> None:
    assert (lockable.object_retention_mode, bucket.object_retention_mode) == ("Enabled", None)
    with pytest.raises(BadRequest, match="object retention"):
        retained(bucket)


def test_new_objects_are_held_where_the_bucket_says_so(bucket: storage.Bucket) -> None:
    bucket.default_event_based_hold = True
    bucket.patch()
    blob = bucket.blob("one")
    blob.upload_from_string("x")
    blob.reload()

    with pytest.raises(Forbidden, match="Event-Based hold"):
        blob.delete()
    blob.event_based_hold = False
    blob.patch()

    blob.delete()
    assert not blob.exists()
