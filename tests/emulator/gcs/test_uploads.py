"""Uploads: media, multipart and resumable, through the official client; over raw HTTP what it cannot send."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import socket
import time
from collections.abc import Callable

import google_crc32c
import httpx
import pytest
from google.api_core.exceptions import BadRequest, NotFound
from google.cloud import storage

from tests.emulator.gcs.conftest import Served

QUANTUM = 256 * 1024


def start(raw: httpx.Client, bucket: storage.Bucket, name: str, **params: str) -> str:
    """Begin a resumable upload and return its address."""
    where = f"/upload/storage/v1/b/{bucket.name}/o"
    answer = raw.post(where, params={"uploadType": "resumable", "name": name, **params}, json={})
    assert answer.status_code == 200, answer.text
    return answer.headers["location"]


def send(raw: httpx.Client, where: str, content: bytes, content_range: str) -> httpx.Response:
    return raw.put(where, content=content, headers={"content-range": content_range})


def test_an_upload_is_readable_at_once(bucket: storage.Bucket) -> None:
    bucket.blob("one").upload_from_string("hello")

    assert bucket.blob("one").download_as_bytes() == b"hello"


def test_an_upload_tells_its_checksums(bucket: storage.Bucket) -> None:
    blob = bucket.blob("one")

    blob.upload_from_string("hello")

    crc32c = google_crc32c.Checksum(b"hello").digest()
    assert blob.md5_hash == base64.b64encode(hashlib.md5(b"hello").digest()).decode()
    assert blob.crc32c == base64.b64encode(crc32c).decode()
    assert blob.size == 5


def test_an_upload_keeps_type_and_custom_metadata(bucket: storage.Bucket) -> None:
    blob = bucket.blob("one")
    blob.metadata = {"step": "3", "ünï": "cödé"}
    blob.cache_control = "no-store"

    blob.upload_from_string("{}", content_type="application/json")

    found = bucket.get_blob("one")
    assert (found.content_type, found.cache_control) == ("application/json", "no-store")
    assert found.metadata == {"step": "3", "ünï": "cödé"}


@pytest.mark.parametrize("name", ["a/b/c", "with space", "per%2Fcent", "ünïcödé/🙂", "q?x=1&y#z", "a//b/", "+plus"])
def test_an_object_may_have_any_name(bucket: storage.Bucket, name: str) -> None:
    bucket.blob(name).upload_from_string("x")

    assert [blob.name for blob in bucket.list_blobs()] == [name]
    assert bucket.blob(name).download_as_bytes() == b"x"


@pytest.mark.parametrize("name", ["a\nb", "n" * 1025, "."])
def test_a_name_outside_googles_rules_is_refused(bucket: storage.Bucket, name: str) -> None:
    with pytest.raises(BadRequest):
        bucket.blob(name).upload_from_string("x")


def test_an_empty_object_is_an_object(bucket: storage.Bucket) -> None:
    bucket.blob("empty").upload_from_string("")

    assert bucket.blob("empty").download_as_bytes() == b""
    assert bucket.get_blob("empty").size == 0


def test_an_upload_into_a_missing_bucket_is_not_found(client: storage.Client) -> None:
    with pytest.raises(NotFound, match="The specified bucket does not exist"):
        client.bucket("no-such-bucket-here").blob("x").upload_from_string("x")


def test_an_overwrite_has_a_higher_generation(bucket: storage.Bucket) -> None:
    first, second = bucket.blob("one"), bucket.blob("one")
    first.upload_from_string("1")

    second.upload_from_string("2")

    assert second.generation > first.generation
    assert second.metageneration == 1


@pytest.mark.parametrize("size", [0, 1, QUANTUM - 1, QUANTUM, QUANTUM + 1, 5 * QUANTUM, 5 * QUANTUM + 17])
def test_a_resumable_upload_arrives_whole(bucket: storage.Bucket, size: int) -> None:
    content = os.urandom(size)
    blob = bucket.blob("big", chunk_size=2 * QUANTUM)

    blob.upload_from_file(io.BytesIO(content))

    assert bucket.blob("big").download_as_bytes() == content


@pytest.mark.parametrize("size", [0, 3, 2 * QUANTUM, 4 * QUANTUM + 5])
def test_a_stream_of_unknown_length_arrives_whole(bucket: storage.Bucket, size: int) -> None:
    content = os.urandom(size)

    with bucket.blob("stream", chunk_size=2 * QUANTUM).open("wb") as file:
        file.write(content)

    assert bucket.blob("stream").download_as_bytes() == content


def test_a_session_keeps_the_metadata_it_began_with(bucket: storage.Bucket) -> None:
    blob = bucket.blob("big", chunk_size=QUANTUM)
    blob.metadata = {"k": "v"}

    blob.upload_from_file(io.BytesIO(b"x" * (QUANTUM + 1)), content_type="text/x-big")

    found = bucket.get_blob("big")
    assert (found.metadata, found.content_type) == ({"k": "v"}, "text/x-big")


def test_a_chunk_is_answered_by_how_far_the_upload_is(raw: httpx.Client, bucket: storage.Bucket) -> None:
    where = start(raw, bucket, "big")

    answer = send(raw, where, b"x" * QUANTUM, f"bytes 0-{QUANTUM - 1}/*")

    assert (answer.status_code, answer.headers["range"]) == (308, f"bytes=0-{QUANTUM - 1}")


def test_a_chunk_counts_in_multiples_of_256_kib(raw: httpx.Client, bucket: storage.Bucket) -> None:
    where = start(raw, bucket, "big")

    answer = send(raw, where, b"x" * (QUANTUM + 100), f"bytes 0-{QUANTUM + 99}/*")

    assert answer.headers["range"] == f"bytes=0-{QUANTUM - 1}"


def test_a_session_without_bytes_has_no_range(raw: httpx.Client, bucket: storage.Bucket) -> None:
    where = start(raw, bucket, "big")

    answer = send(raw, where, b"", "bytes */*")

    assert answer.status_code == 308
    assert "range" not in answer.headers


def test_an_overlapping_chunk_repeats_nothing(raw: httpx.Client, bucket: storage.Bucket) -> None:
    content = os.urandom(2 * QUANTUM)
    where = start(raw, bucket, "big")
    send(raw, where, content[:QUANTUM], f"bytes 0-{QUANTUM - 1}/*")

    answer = send(raw, where, content[100:], f"bytes 100-{2 * QUANTUM - 1}/{2 * QUANTUM}")

    assert answer.status_code == 200
    assert bucket.blob("big").download_as_bytes() == content


def test_a_chunk_behind_a_gap_is_refused(raw: httpx.Client, bucket: storage.Bucket) -> None:
    where = start(raw, bucket, "big")

    answer = send(raw, where, b"x" * QUANTUM, f"bytes {QUANTUM}-{2 * QUANTUM - 1}/*")

    assert answer.status_code == 503
    assert "exceeds already uploaded size of 0 byte(s)" in answer.json()["error"]["message"]


@pytest.mark.parametrize("header", ["bytes 5-1/9", "bytes 0-9/5", "chunks 0-1/2", "bytes 0-1", "bytes a-b/c"])
def test_a_content_range_that_makes_no_sense_is_refused(raw: httpx.Client, bucket: storage.Bucket, header: str) -> None:
    answer = send(raw, start(raw, bucket, "big"), b"xx", header)

    assert answer.status_code == 400
    assert "Content-Range" in answer.json()["error"]["message"]


def test_more_bytes_than_the_content_range_says_are_refused(raw: httpx.Client, bucket: storage.Bucket) -> None:
    answer = send(raw, start(raw, bucket, "big"), b"x" * 10, "bytes 0-4/5")

    assert answer.status_code == 400
    assert not bucket.blob("big").exists()


def test_fewer_bytes_than_the_content_range_says_are_refused(raw: httpx.Client, bucket: storage.Bucket) -> None:
    answer = send(raw, start(raw, bucket, "big"), b"x" * 3, "bytes 0-4/5")

    assert answer.status_code == 400
    assert not bucket.blob("big").exists()


def test_a_finished_session_answers_with_its_object_again(raw: httpx.Client, bucket: storage.Bucket) -> None:
    where = start(raw, bucket, "big")
    first = send(raw, where, b"hello", "bytes 0-4/5")

    again = send(raw, where, b"", "bytes */5")

    assert (again.status_code, again.json()["generation"]) == (200, first.json()["generation"])


def test_a_session_can_be_finished_by_telling_its_length(raw: httpx.Client, bucket: storage.Bucket) -> None:
    where = start(raw, bucket, "big")
    send(raw, where, b"x" * QUANTUM, f"bytes 0-{QUANTUM - 1}/*")

    answer = send(raw, where, b"", f"bytes */{QUANTUM}")

    assert (answer.status_code, answer.json()["size"]) == (200, str(QUANTUM))


def test_a_cancelled_session_is_gone(raw: httpx.Client, bucket: storage.Bucket) -> None:
    where = start(raw, bucket, "big")

    cancelled = raw.delete(where)

    assert cancelled.status_code == 499
    assert send(raw, where, b"x", "bytes 0-0/1").status_code == 404


def test_an_unknown_session_is_not_found(raw: httpx.Client, bucket: storage.Bucket) -> None:
    where = f"/upload/storage/v1/b/{bucket.name}/o?uploadType=resumable&upload_id=nope"

    assert send(raw, where, b"x", "bytes 0-0/1").status_code == 404


def test_the_official_client_checks_what_arrived(bucket: storage.Bucket) -> None:
    bucket.blob("one").upload_from_string("hello", checksum="md5")
    bucket.blob("two", chunk_size=QUANTUM).upload_from_file(io.BytesIO(b"x" * QUANTUM * 2), checksum="crc32c")

    assert {blob.name for blob in bucket.list_blobs()} == {"one", "two"}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("crc32c=AAAAAA==", 'Provided CRC32C "AAAAAA==" doesn\'t match calculated CRC32C'),
        ("md5=AAAAAAAAAAAAAAAAAAAAAA==", "doesn't match calculated MD5 hash"),
    ],
)
def test_bytes_that_do_not_fit_their_checksum_are_refused(
    raw: httpx.Client, bucket: storage.Bucket, header: str, message: str
) -> None:
    where = f"/upload/storage/v1/b/{bucket.name}/o?uploadType=media&name=one"

    answer = raw.post(where, content=b"hello", headers={"x-goog-hash": header})

    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, "invalid")
    assert message in answer.json()["error"]["message"]
    assert not bucket.blob("one").exists()


@pytest.mark.parametrize("field", ["crc32c", "md5Hash"])
def test_metadata_that_names_another_checksum_is_refused(raw: httpx.Client, bucket: storage.Bucket, field: str) -> None:
    body = f'--x\r\n\r\n{{"name": "one", "{field}": "AAAAAA=="}}\r\n--x\r\n\r\nhello\r\n--x--'
    where = f"/upload/storage/v1/b/{bucket.name}/o?uploadType=multipart"

    answer = raw.post(where, content=body, headers={"content-type": "multipart/related; boundary=x"})

    assert answer.status_code == 400
    assert not bucket.blob("one").exists()


def test_a_last_chunk_that_does_not_fit_its_checksum_ends_the_session(
    raw: httpx.Client, bucket: storage.Bucket
) -> None:
    where = start(raw, bucket, "big")
    headers = {"content-range": "bytes 0-4/5", "x-goog-hash": "crc32c=AAAAAA=="}

    answer = raw.put(where, content=b"hello", headers=headers)

    assert answer.status_code == 400
    assert send(raw, where, b"hello", "bytes 0-4/5").status_code == 404


def test_a_multipart_boundary_may_stand_in_single_quotes(raw: httpx.Client, bucket: storage.Bucket) -> None:
    head = '--=3=\r\nContent-Type: application/json\r\n\r\n{"name": "one"}\r\n--=3=\r\nContent-Type: a/b\r\n\r\n'
    where = f"/upload/storage/v1/b/{bucket.name}/o?uploadType=multipart"

    kind = "multipart/related; boundary='=3='"
    answer = raw.post(where, content=f"{head}hello\r\n--=3=--".encode(), headers={"content-type": kind})

    assert (answer.status_code, bucket.blob("one").download_as_bytes()) == (200, b"hello")


@pytest.mark.parametrize("line", ["\r\n", "\n"])
def test_a_multipart_body_may_end_its_lines_either_way(raw: httpx.Client, bucket: storage.Bucket, line: str) -> None:
    content = b"\r\n--y\r\n--\r\r\n\n"
    head = line.join(
        ["--x", "Content-Type: application/json", "", '{"name": "one"}', "--x", "Content-Type: a/b", "", ""]
    )
    where = f"/upload/storage/v1/b/{bucket.name}/o?uploadType=multipart"
    body = head.encode() + content + f"{line}--x--".encode()

    answer = raw.post(where, content=body, headers={"content-type": 'multipart/related; boundary="x"'})

    assert (answer.status_code, answer.json()["contentType"]) == (200, "a/b")
    assert bucket.blob("one").download_as_bytes() == content


@pytest.mark.parametrize(
    "body", ["", "--x", "--x\r\n\r\n{}\r\n--x--", "--y\r\n\r\n{}", '--x\r\n\r\n{"name":"one"}\r\n--x\r\n\r\nhello']
)
def test_a_multipart_body_without_its_parts_is_refused(raw: httpx.Client, bucket: storage.Bucket, body: str) -> None:
    where = f"/upload/storage/v1/b/{bucket.name}/o?uploadType=multipart"

    answer = raw.post(where, content=body, headers={"content-type": "multipart/related; boundary=x"})

    assert answer.status_code == 400
    assert "Malformed multipart body" in answer.json()["error"]["message"]


def test_an_upload_without_a_name_is_refused(raw: httpx.Client, bucket: storage.Bucket) -> None:
    answer = raw.post(f"/upload/storage/v1/b/{bucket.name}/o?uploadType=media", content=b"x")

    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, "required")


def test_an_upload_of_an_unknown_kind_is_refused(raw: httpx.Client, bucket: storage.Bucket) -> None:
    answer = raw.post(f"/upload/storage/v1/b/{bucket.name}/o?uploadType=pigeon&name=x", content=b"x")

    assert answer.status_code == 400


def test_a_client_that_goes_away_leaves_no_object_and_no_bytes(served: Served, bucket: storage.Bucket) -> None:
    before = len(served.buckets.blobs.spools())
    target = f"/upload/storage/v1/b/{bucket.name}/o?uploadType=media&name=x"
    host, port = served.url.removeprefix("http://").split(":")

    with socket.create_connection((host, int(port))) as connection:
        head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 2_000_000)
        wait_until(lambda: len(served.buckets.blobs.spools()) == before + 1)

    wait_until(lambda: len(served.buckets.blobs.spools()) == before)
    assert not bucket.blob("x").exists()


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(100):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come true within two seconds")
