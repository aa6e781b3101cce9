"""Batches through the official client and as gcsfs writes them."""

from __future__ import annotations

import httpx
import pytest
from google.cloud import storage


@pytest.fixture
def filled(bucket: storage.Bucket) -> storage.Bucket:
    for number in range(5):
        bucket.blob(f"n/ü {number}").upload_from_string("x")
    return bucket


def test_a_batch_deletes_many_objects(client: storage.Client, filled: storage.Bucket) -> None:
    with client.batch():
        for number in range(4):
            filled.delete_blob(f"n/ü {number}")

    assert [blob.name for blob in filled.list_blobs()] == ["n/ü 4"]


def test_a_batch_patches_many_objects(client: storage.Client, filled: storage.Bucket) -> None:
    blobs = list(filled.list_blobs())

    with client.batch():
        for blob in blobs:
            blob.metadata = {"name": blob.name}
            blob.patch()

    assert {blob.metadata["name"] for blob in filled.list_blobs()} == {blob.name for blob in blobs}
    assert all(blob.metageneration == 2 for blob in blobs)


def test_a_refusal_in_a_batch_does_not_stop_the_others(client: storage.Client, filled: storage.Bucket) -> None:
    batch = client.batch(raise_exception=False)
    with batch:
        filled.delete_blob("nope")
        filled.delete_blob("n/ü 0")

    assert [answer.status_code for answer in batch._responses] == [404, 204]
    assert not filled.blob("n/ü 0").exists()


def test_a_batch_keeps_its_preconditions(client: storage.Client, filled: storage.Bucket) -> None:
    with client.batch(raise_exception=False) as batch:
        filled.delete_blob("n/ü 0", if_generation_match=1)
        filled.delete_blob("n/ü 1")

    assert [answer.status_code for answer in batch._responses] == [412, 204]


def test_a_batch_that_is_no_multipart_is_refused(raw: httpx.Client) -> None:
    answer = raw.post("/batch/storage/v1", content=b"x", headers={"content-type": "text/plain"})

    assert answer.status_code == 400


def test_a_call_without_a_request_line_is_refused_alone(raw: httpx.Client) -> None:
    body = "--x\r\nContent-Type: application/http\r\n\r\n\r\n--x--"

    answer = raw.post("/batch/storage/v1", content=body, headers={"content-type": "multipart/mixed; boundary=x"})

    assert answer.status_code == 400
