"""Downloads: whole, by ranges, by generation, unzipped; refusals as plain text."""

from __future__ import annotations

import gzip
import io
import os

import httpx
import pytest
from google.api_core.exceptions import NotFound, RequestRangeNotSatisfiable
from google.cloud import storage

CONTENT = bytes(range(256)) * 5


@pytest.fixture
def stored(bucket: storage.Bucket) -> storage.Blob:
    blob = bucket.blob("one")
    blob.upload_from_string(CONTENT, content_type="text/plain")
    return blob


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 9, CONTENT[:10]), (5, 5, CONTENT[5:6]), (100, None, CONTENT[100:]), (1270, 5000, CONTENT[1270:])],
)
def test_a_range_of_bytes_can_be_read(stored: storage.Blob, start: int, end: int | None, expected: bytes) -> None:
    assert stored.download_as_bytes(start=start, end=end) == expected


def test_the_last_bytes_can_be_read(raw: httpx.Client, stored: storage.Blob) -> None:
    answer = raw.get(stored.media_link, headers={"range": "bytes=-10"})

    assert (answer.status_code, answer.content) == (206, CONTENT[-10:])
    assert answer.headers["content-range"] == "bytes 1270-1279/1280"


def test_a_range_behind_the_end_is_refused(stored: storage.Blob) -> None:
    with pytest.raises(RequestRangeNotSatisfiable, match="not satisfiable"):
        stored.download_as_bytes(start=1280)


@pytest.mark.parametrize("header", ["bytes=5-1", "bytes=-", "lines=1-2", "bytes=0-1,5-6"])
def test_a_range_that_cannot_be_read_is_ignored(raw: httpx.Client, stored: storage.Blob, header: str) -> None:
    answer = raw.get(stored.media_link, headers={"range": header})

    assert (answer.status_code, answer.content) == (200, CONTENT)


def test_a_download_tells_what_it_is(raw: httpx.Client, stored: storage.Blob) -> None:
    answer = raw.get(stored.media_link)

    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["x-goog-generation"] == str(stored.generation)
    assert answer.headers["x-goog-hash"] == f"crc32c={stored.crc32c},md5={stored.md5_hash}"
    assert answer.headers["x-goog-stored-content-length"] == "1280"


def test_a_large_object_comes_back_whole(bucket: storage.Bucket) -> None:
    content = os.urandom(3_000_000)
    bucket.blob("large").upload_from_string(content)

    assert bucket.blob("large").download_as_bytes() == content


def test_a_range_of_a_large_object_comes_back_whole(bucket: storage.Bucket) -> None:
    content = os.urandom(3_000_000)
    bucket.blob("large").upload_from_string(content)

    assert bucket.blob("large").download_as_bytes(start=1, end=2_500_000) == content[1:2_500_001]


def test_a_chunked_download_comes_back_whole(bucket: storage.Bucket) -> None:
    content = os.urandom(900_000)
    bucket.blob("large").upload_from_string(content)
    target = io.BytesIO()

    bucket.blob("large", chunk_size=256 * 1024).download_to_file(target)

    assert target.getvalue() == content


def test_a_missing_object_is_told_in_plain_text(raw: httpx.Client, bucket: storage.Bucket) -> None:
    answer = raw.get(f"/download/storage/v1/b/{bucket.name}/o/nope?alt=media")

    assert (answer.status_code, answer.text) == (404, f"No such object: {bucket.name}/nope")


def test_a_missing_object_is_not_found(bucket: storage.Bucket) -> None:
    with pytest.raises(NotFound, match="No such object"):
        bucket.blob("nope").download_as_bytes()


def test_both_addresses_of_an_object_give_its_bytes(raw: httpx.Client, stored: storage.Blob) -> None:
    answer = raw.get(f"/storage/v1/b/{stored.bucket.name}/o/one?alt=media")

    assert answer.content == CONTENT


def test_a_generation_can_be_read_while_it_is_there(bucket: storage.Bucket, stored: storage.Blob) -> None:
    found = bucket.blob("one", generation=stored.generation).download_as_bytes()

    assert found == CONTENT


def test_another_generation_is_not_found(bucket: storage.Bucket, stored: storage.Blob) -> None:
    with pytest.raises(NotFound):
        bucket.blob("one", generation=12345).download_as_bytes()


@pytest.fixture
def zipped(bucket: storage.Bucket) -> storage.Blob:
    blob = bucket.blob("zipped")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(CONTENT * 1000), content_type="text/plain")
    return blob


def test_what_is_stored_zipped_is_unzipped_for_who_does_not_take_it_zipped(
    raw: httpx.Client, zipped: storage.Blob
) -> None:
    answer = raw.get(zipped.media_link, headers={"accept-encoding": "identity"})

    assert answer.content == CONTENT * 1000
    assert "content-encoding" not in answer.headers


def test_what_is_stored_zipped_is_sent_zipped_to_who_takes_it(raw: httpx.Client, zipped: storage.Blob) -> None:
    answer = raw.get(zipped.media_link, headers={"accept-encoding": "gzip"})

    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) == zipped.size


def test_the_official_client_reads_what_is_stored_zipped(zipped: storage.Blob) -> None:
    assert zipped.download_as_bytes() == CONTENT * 1000
    assert gzip.decompress(zipped.download_as_bytes(raw_download=True)) == CONTENT * 1000
