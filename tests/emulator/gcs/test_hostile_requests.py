"""Requests that nobody should send: an error of the 4xx kind or 501, and a server that lives on."""

from __future__ import annotations

import json

import httpx
import pytest
from google.cloud import storage
from hypothesis import given
from hypothesis import strategies as st

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["name", "metadata", "labels", "contentType", "sourceObjects", "destination", "bindings", "etag", "versioning",
     "lifecycle", "cors", "location", "storageClass", "generation", "temporaryHold", "deleteSourceObjects", "version"]
)  # fmt: skip
BODIES = st.one_of(
    st.dictionaries(FIELDS, JUNK, max_size=4).map(lambda value: json.dumps(value).encode()),
    JUNK.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=30),
)
PARAMETERS = st.dictionaries(
    st.sampled_from(
        ["prefix", "delimiter", "maxResults", "pageToken", "fields", "generation", "ifGenerationMatch", "matchGlob",
         "ifMetagenerationNotMatch", "uploadType", "name", "upload_id", "alt", "versions", "startOffset", "project",
         "sourceGeneration", "permissions", "projection"]
    ),
    st.one_of(st.text(max_size=8), st.sampled_from(["media", "multipart", "resumable", "true", "0", "1" * 40, "-1"])),
    max_size=4,
)  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(["range", "content-range", "content-type", "x-goog-hash", "accept-encoding"]),
    st.sampled_from(
        ["bytes=0-", "bytes=-0", "bytes 0-1/2", "bytes */*", "bytes */0", "multipart/related; boundary=x", "md5=",
         "multipart/mixed; boundary=x", "crc32c=!", "application/json", "gzip", "bytes 9-8/7",
         "bytes=99999999999999999-"]
    ),
    max_size=3,
)  # fmt: skip
PATHS = st.sampled_from(
    ["storage/v1/b", "storage/v1/b/{b}", "storage/v1/b/{b}/o", "storage/v1/b/{b}/o/one", "storage/v1/b/{b}/o/no%00ne",
     "storage/v1/b/{b}/o/one/compose", "storage/v1/b/{b}/o/one/copyTo/b/{b}/o/two", "storage/v1/b/{b}/iam",
     "storage/v1/b/{b}/o/one/rewriteTo/b/{b}/o/%ff", "storage/v1/b/{b}/o/one/moveTo/o/one", "batch/storage/v1",
     "storage/v1/b/{b}/iam/testPermissions", "upload/storage/v1/b/{b}/o", "download/storage/v1/b/{b}/o/one", "",
     "storage/v1/b/{b}/acl", "storage/v1/projects/p/serviceAccount", "storage/v1", "storage/v1/b//o/", "batch",
     "storage/v1/b/%F0%9F%99%82/o/" + "x" * 1100, "resumable/upload/storage/v1/b/{b}/o",
     "storage/v1/b/{b}/storageLayout"]
)  # fmt: skip
METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])


@given(method=METHODS, path=PATHS, params=PARAMETERS, headers=HEADERS, body=BODIES)
def test_a_request_of_any_kind_is_answered_and_never_by_a_crash(
    raw: httpx.Client, bucket: storage.Bucket, method: str, path: str, params: dict, headers: dict, body: bytes
) -> None:
    raw.post(f"/upload/storage/v1/b/{bucket.name}/o?uploadType=media&name=one", content=b"x")

    answer = raw.request(method, "/" + path.format(b=bucket.name), params=params, headers=headers, content=body)

    assert answer.status_code < 500 or answer.status_code in {501, 503}, answer.text
    if answer.status_code == 503:
        assert "Content-Range" in answer.text


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_a_parse_error(raw: httpx.Client, body: bytes) -> None:
    answer = raw.post("/storage/v1/b", content=body)

    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, "parseError")


def test_metadata_beyond_all_reason_is_too_large(raw: httpx.Client) -> None:
    answer = raw.post("/storage/v1/b", content=b'{"name": "' + b"x" * 5_000_000 + b'"}')

    assert answer.status_code == 413


def test_a_lone_surrogate_in_a_name_is_refused(raw: httpx.Client, bucket: storage.Bucket) -> None:
    body = {"sourceObjects": [{"name": "x"}]}
    text = json.dumps(body).replace('"x"', '"\\ud800"')

    answer = raw.post(f"/storage/v1/b/{bucket.name}/o/one/compose", content=text)

    assert answer.status_code == 400
