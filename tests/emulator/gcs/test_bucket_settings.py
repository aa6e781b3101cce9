"""What the service adds to the settings of a bucket, and what it refuses of them."""

from __future__ import annotations

import uuid

import httpx
import pytest
from google.api_core.exceptions import BadRequest, MethodNotImplemented
from google.cloud import storage
from google.cloud.storage import constants


def named() -> str:
    return f"bucket-{uuid.uuid4().hex}"


def test_two_regions_make_a_dual_region(client: storage.Client) -> None:
    bucket = client.create_bucket(named(), location="US", data_locations=["US-EAST1", "US-WEST1"])

    assert (bucket.location, bucket.location_type) == ("US", constants.DUAL_REGION_LOCATION_TYPE)
    assert bucket.data_locations == ["US-EAST1", "US-WEST1"]


def test_a_bucket_of_several_regions_tells_how_it_replicates(client: storage.Client) -> None:
    dual = client.create_bucket(named(), location="NAM4")
    single = client.create_bucket(named(), location="us-central1")
    dual.rpo = constants.RPO_ASYNC_TURBO
    dual.patch()

    assert (client.get_bucket(dual.name).rpo, single.rpo) == (constants.RPO_ASYNC_TURBO, None)


def test_autoclass_tells_when_it_was_turned_on_and_where_it_ends(bucket: storage.Bucket) -> None:
    bucket.autoclass_enabled = True
    bucket.patch()
    on, ends = bucket.autoclass_toggle_time, bucket.autoclass_terminal_storage_class
    bucket.autoclass_terminal_storage_class = "ARCHIVE"
    bucket.patch()

    assert (on is not None, ends, bucket.autoclass_toggle_time) == (True, "NEARLINE", on)
    assert bucket.autoclass_terminal_storage_class_update_time >= on


def test_access_settings_are_told_whole_after_a_patch_of_one(bucket: storage.Bucket) -> None:
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.patch()
    locked = bucket.iam_configuration.uniform_bucket_level_access_locked_time
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.patch()

    access = bucket.iam_configuration
    assert (access.uniform_bucket_level_access_enabled, access.public_access_prevention) == (True, "enforced")
    assert access.uniform_bucket_level_access_locked_time == locked


def test_a_setting_that_means_nothing_is_refused(bucket: storage.Bucket) -> None:
    bucket.iam_configuration.public_access_prevention = "perhaps"

    with pytest.raises(BadRequest, match="publicAccessPrevention"):
        bucket.patch()


@pytest.mark.parametrize("period", [-1, 10**13, "soon", 1.5])
def test_a_period_that_cannot_be_one_is_refused(raw: httpx.Client, bucket: storage.Bucket, period: object) -> None:
    body = {"retentionPolicy": {"retentionPeriod": period}}

    answer = raw.patch(f"/storage/v1/b/{bucket.name}", json=body)

    assert (answer.status_code, "retentionPeriod" in answer.text) == (400, True)


def test_keys_for_encryption_are_not_implemented_wherever_they_are_named(
    client: storage.Client, bucket: storage.Bucket
) -> None:
    bucket.blob("one").upload_from_string("x")
    key = "projects/p/locations/us/keyRings/r/cryptoKeys/k"
    secret = b"0" * 32
    attempts = [
        lambda: client.create_bucket(_with_key(client, key)),
        lambda: bucket.blob("two", kms_key_name=key).upload_from_string("x"),
        lambda: bucket.blob("two", encryption_key=secret).upload_from_string("x"),
        lambda: bucket.blob("one", encryption_key=secret).download_as_bytes(),
        lambda: bucket.blob("two", encryption_key=secret).rewrite(bucket.blob("one")),
    ]

    for attempt in attempts:
        with pytest.raises(MethodNotImplemented, match="encryption keys"):
            attempt()


@pytest.mark.parametrize("path", ["acl", "defaultObjectAcl", "managedFolders", "notificationConfigs"])
def test_what_of_a_bucket_is_not_here_says_so(raw: httpx.Client, bucket: storage.Bucket, path: str) -> None:
    answer = raw.get(f"/storage/v1/b/{bucket.name}/{path}")

    assert (answer.status_code, path in answer.json()["error"]["message"]) == (501, True)


def test_the_xml_api_of_buckets_says_that_it_is_not_here(raw: httpx.Client, bucket: storage.Bucket) -> None:
    answers = [raw.get(f"/{bucket.name}"), raw.post(f"/{bucket.name}/", content=b"policy")]

    assert [answer.status_code for answer in answers] == [501, 501]
    assert all("<Code>NotImplemented</Code>" in answer.text for answer in answers)


def _with_key(client: storage.Client, key: str) -> storage.Bucket:
    bucket = client.bucket(named())
    bucket.default_kms_key_name = key
    return bucket
