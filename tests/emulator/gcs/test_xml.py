"""The XML addresses, as `transfer_manager` uses them, and over raw HTTP."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from google.cloud import storage
from google.cloud.storage import transfer_manager

MEBIBYTE = 1 << 20


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(3 * MEBIBYTE + 17))
    return path


def start(raw: httpx.Client, bucket: storage.Bucket) -> str:
    answer = raw.post(f"/{bucket.name}/one?uploads")
    return answer.text.split("<UploadId>")[1].split("</UploadId>")[0]


def complete(raw: httpx.Client, bucket: storage.Bucket, upload: str, parts: list[tuple[int, str]]) -> httpx.Response:
    listed = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>"
    return raw.post(f"/{bucket.name}/one?uploadId={upload}", content=body)


def test_transfer_manager_keeps_what_is_set_on_the_object(bucket: storage.Bucket, large: Path) -> None:
    blob = bucket.blob("large")
    blob.custom_time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    blob.cache_control, blob.storage_class = "private", "NEARLINE"

    transfer_manager.upload_chunks_concurrently(
        str(large), blob, chunk_size=MEBIBYTE, worker_type=transfer_manager.THREAD
    )

    found = bucket.get_blob("large")
    assert (found.custom_time, found.cache_control, found.storage_class) == (blob.custom_time, "private", "NEARLINE")


def test_transfer_manager_uploads_a_file_in_parts(bucket: storage.Bucket, large: Path) -> None:
    blob = bucket.blob("folder/large")
    blob.metadata = {"k": "v"}

    transfer_manager.upload_chunks_concurrently(
        str(large), blob, content_type="text/x-large", chunk_size=MEBIBYTE, worker_type=transfer_manager.THREAD,
        max_workers=3,
    )  # fmt: skip

    found = bucket.get_blob("folder/large")
    assert found.download_as_bytes() == large.read_bytes()
    assert (found.content_type, found.metadata, found.md5_hash) == ("text/x-large", {"k": "v"}, None)


def test_transfer_manager_downloads_an_object_in_parts(bucket: storage.Bucket, large: Path, tmp_path: Path) -> None:
    bucket.blob("large").upload_from_filename(str(large))

    transfer_manager.download_chunks_concurrently(
        bucket.blob("large"), str(tmp_path / "copy"), chunk_size=MEBIBYTE, worker_type=transfer_manager.THREAD
    )

    assert (tmp_path / "copy").read_bytes() == large.read_bytes()


def test_parts_may_come_in_any_order(raw: httpx.Client, bucket: storage.Bucket) -> None:
    upload = start(raw, bucket)
    where = f"/{bucket.name}/one?uploadId={upload}&partNumber="
    second = raw.put(f"{where}2", content=b"two").headers["etag"]
    first = raw.put(f"{where}1", content=b"one").headers["etag"]

    answer = complete(raw, bucket, upload, [(1, first), (2, second)])

    assert answer.status_code == 200
    assert bucket.blob("one").download_as_bytes() == b"onetwo"


def test_a_part_that_was_never_sent_is_refused(raw: httpx.Client, bucket: storage.Bucket) -> None:
    upload = start(raw, bucket)

    answer = complete(raw, bucket, upload, [(1, '"00"')])

    assert answer.status_code == 400
    assert "could not be found" in answer.text


def test_a_cancelled_upload_leaves_nothing(raw: httpx.Client, bucket: storage.Bucket) -> None:
    upload = start(raw, bucket)
    raw.put(f"/{bucket.name}/one?uploadId={upload}&partNumber=1", content=b"x")

    cancelled = raw.delete(f"/{bucket.name}/one?uploadId={upload}")

    assert cancelled.status_code == 204
    assert raw.put(f"/{bucket.name}/one?uploadId={upload}&partNumber=1", content=b"x").status_code == 404


def test_a_part_that_does_not_fit_its_checksum_is_refused(raw: httpx.Client, bucket: storage.Bucket) -> None:
    where = f"/{bucket.name}/one?uploadId={start(raw, bucket)}&partNumber=1"

    answer = raw.put(where, content=b"x", headers={"x-goog-hash": "crc32c=AAAAAA=="})

    assert answer.status_code == 400


def test_a_list_of_parts_that_is_no_xml_is_refused(raw: httpx.Client, bucket: storage.Bucket) -> None:
    answer = raw.post(f"/{bucket.name}/one?uploadId={start(raw, bucket)}", content=b"<Comp")

    assert answer.status_code == 400
    assert "not well-formed" in answer.text


def test_an_object_is_written_read_and_deleted_at_its_own_address(raw: httpx.Client, bucket: storage.Bucket) -> None:
    where = f"/{bucket.name}/a/b%20c"
    written = raw.put(where, content=b"hello", headers={"x-goog-meta-k": "v", "x-goog-if-generation-match": "0"})

    read = raw.get(where)
    looked = raw.head(where)
    deleted = raw.delete(where)

    assert (written.status_code, read.content, deleted.status_code) == (200, b"hello", 204)
    assert (looked.content, looked.headers["content-length"]) == (b"", "5")
    assert not bucket.blob("a/b c").exists()


def test_a_second_first_write_is_refused_at_its_own_address(raw: httpx.Client, bucket: storage.Bucket) -> None:
    headers = {"x-goog-if-generation-match": "0"}
    raw.put(f"/{bucket.name}/one", content=b"1", headers=headers)

    answer = raw.put(f"/{bucket.name}/one", content=b"2", headers=headers)

    assert answer.status_code == 412
    assert "<Code>PreconditionFailed</Code>" in answer.text
