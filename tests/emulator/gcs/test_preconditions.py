"""Every precondition on every operation: a table of what is asked, and whether it goes ahead."""

from __future__ import annotations

import io
from collections.abc import Callable

import httpx
import pytest
from google.api_core.exceptions import NotFound, NotModified, PreconditionFailed
from google.cloud import storage

Params = dict[str, int]

HOLD: tuple[Callable[[storage.Blob], Params], ...] = (
    lambda blob: {"if_generation_match": blob.generation},
    lambda blob: {"if_generation_not_match": 1},
    lambda blob: {"if_generation_not_match": 0},
    lambda blob: {"if_metageneration_match": blob.metageneration},
    lambda blob: {"if_metageneration_not_match": 7},
    lambda blob: {"if_generation_match": blob.generation, "if_metageneration_match": blob.metageneration},
)
FAIL: tuple[Callable[[storage.Blob], Params], ...] = (
    lambda blob: {"if_generation_match": 0},
    lambda blob: {"if_generation_match": blob.generation - 1},
    lambda blob: {"if_metageneration_match": 7},
    lambda blob: {"if_generation_match": blob.generation, "if_metageneration_match": 7},
)
FAIL_NOT: tuple[Callable[[storage.Blob], Params], ...] = (
    lambda blob: {"if_generation_not_match": blob.generation},
    lambda blob: {"if_metageneration_not_match": blob.metageneration},
)


def upload(blob: storage.Blob, params: Params) -> None:
    blob.bucket.blob(blob.name).upload_from_string("new", **params)


def upload_in_chunks(blob: storage.Blob, params: Params) -> None:
    blob.bucket.blob(blob.name, chunk_size=256 * 1024).upload_from_file(io.BytesIO(b"new"), **params)


def patch(blob: storage.Blob, params: Params) -> None:
    other = blob.bucket.blob(blob.name)
    other.metadata = {"k": "v"}
    other.patch(**params)


def delete(blob: storage.Blob, params: Params) -> None:
    blob.bucket.delete_blob(blob.name, **params)


def copy_over(blob: storage.Blob, params: Params) -> None:
    source = blob.bucket.blob("source")
    source.upload_from_string("source")
    blob.bucket.copy_blob(source, blob.bucket, blob.name, **params)


def copy_from(blob: storage.Blob, params: Params) -> None:
    params = {name.replace("if_", "if_source_"): value for name, value in params.items()}
    blob.bucket.copy_blob(blob, blob.bucket, "target", **params)


def rewrite_over(blob: storage.Blob, params: Params) -> None:
    source = blob.bucket.blob("source")
    source.upload_from_string("source")
    blob.bucket.blob(blob.name).rewrite(source, **params)


def rewrite_from(blob: storage.Blob, params: Params) -> None:
    params = {name.replace("if_", "if_source_"): value for name, value in params.items()}
    blob.bucket.blob("target").rewrite(blob.bucket.blob(blob.name), **params)


WRITES = (upload, upload_in_chunks, patch, delete, copy_over, copy_from, rewrite_over, rewrite_from)


def read(blob: storage.Blob, params: Params) -> None:
    blob.bucket.blob(blob.name).download_as_bytes(**params)


def look(blob: storage.Blob, params: Params) -> None:
    blob.bucket.blob(blob.name).reload(**params)


READS = (read, look)


@pytest.fixture
def stored(bucket: storage.Bucket) -> storage.Blob:
    blob = bucket.blob("one")
    blob.upload_from_string("old")
    return blob


@pytest.mark.parametrize("ask", HOLD)
@pytest.mark.parametrize("act", [*WRITES, *READS])
def test_it_goes_ahead_where_its_preconditions_hold(stored: storage.Blob, act, ask) -> None:
    act(stored, ask(stored))


@pytest.mark.parametrize("ask", [*FAIL, *FAIL_NOT])
@pytest.mark.parametrize("act", WRITES)
def test_a_write_is_refused_where_they_do_not(stored: storage.Blob, act, ask) -> None:
    with pytest.raises(PreconditionFailed, match="pre-conditions you specified did not hold"):
        act(stored, ask(stored))

    found = stored.bucket.get_blob("one")
    assert (found.generation, found.metageneration) == (stored.generation, stored.metageneration)
    assert stored.bucket.get_blob("target") is None


@pytest.mark.parametrize("ask", FAIL)
@pytest.mark.parametrize("act", READS)
def test_a_read_is_refused_where_a_match_fails(stored: storage.Blob, act, ask) -> None:
    with pytest.raises(PreconditionFailed):
        act(stored, ask(stored))


@pytest.mark.parametrize("ask", FAIL_NOT)
@pytest.mark.parametrize("act", READS)
def test_a_read_of_what_has_not_changed_answers_not_modified(stored: storage.Blob, act, ask) -> None:
    with pytest.raises(NotModified):
        act(stored, ask(stored))


def test_a_first_write_may_ask_that_nothing_is_there(bucket: storage.Bucket) -> None:
    bucket.blob("new").upload_from_string("x", if_generation_match=0)

    assert bucket.blob("new").exists()


@pytest.mark.parametrize(
    "params", [{"if_generation_match": 7}, {"if_generation_not_match": 0}, {"if_metageneration_match": 1}]
)
def test_a_first_write_that_asks_for_something_there_is_refused(bucket: storage.Bucket, params: Params) -> None:
    with pytest.raises(PreconditionFailed):
        bucket.blob("new").upload_from_string("x", **params)


def test_nothing_is_there_again_after_a_delete(bucket: storage.Bucket, stored: storage.Blob) -> None:
    stored.delete()

    bucket.blob("one").upload_from_string("x", if_generation_match=0)

    assert bucket.blob("one").download_as_bytes() == b"x"


@pytest.mark.parametrize("act", [read, look, patch, delete])
def test_what_is_not_there_is_not_found_whatever_is_asked(bucket: storage.Bucket, act) -> None:
    with pytest.raises(NotFound):
        act(bucket.blob("nope"), {"if_generation_match": 7})


def test_a_session_is_refused_at_its_end_where_the_world_has_moved_on(bucket: storage.Bucket) -> None:
    class Overtaken(io.BytesIO):
        """A file while whose reading somebody else writes the object."""

        def read(self, size: int | None = -1) -> bytes:
            bucket.blob("one").upload_from_string("first")
            return super().read(size)

    with pytest.raises(PreconditionFailed):
        bucket.blob("one").upload_from_file(Overtaken(b"second"), if_generation_match=0)

    assert bucket.blob("one").download_as_bytes() == b"first"


def test_compose_checks_the_generations_of_its_sources(bucket: storage.Bucket, stored: storage.Blob) -> None:
    with pytest.raises(PreconditionFailed):
        bucket.blob("whole").compose([stored], if_source_generation_match=[stored.generation - 1])


def test_compose_checks_the_generation_of_its_target(bucket: storage.Bucket, stored: storage.Blob) -> None:
    with pytest.raises(PreconditionFailed):
        bucket.blob("one").compose([stored], if_generation_match=0)


def test_the_refusal_is_googles_envelope(raw: httpx.Client, stored: storage.Blob) -> None:
    where = f"/upload/storage/v1/b/{stored.bucket.name}/o?uploadType=media&name=one&ifGenerationMatch=0"

    answer = raw.post(where, content=b"x")

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (412, 412)
    assert error["errors"][0] | {"message": ""} == {
        "message": "",
        "domain": "global",
        "reason": "conditionNotMet",
        "locationType": "header",
        "location": "If-Match",
    }


def test_a_generation_that_is_no_number_is_refused(raw: httpx.Client, stored: storage.Blob) -> None:
    answer = raw.get(f"/storage/v1/b/{stored.bucket.name}/o/one?ifGenerationMatch=soon")

    assert (answer.status_code, answer.json()["error"]["errors"][0]["location"]) == (400, "ifGenerationMatch")


# Entity tags, in headers


def test_a_read_goes_ahead_where_the_etag_is_as_asked(bucket: storage.Bucket, stored: storage.Blob) -> None:
    fresh = bucket.blob(stored.name)

    assert fresh.exists(if_etag_match=stored.etag)
    assert fresh.exists(if_etag_not_match=["kittens", "puppies"])
    assert fresh.download_as_bytes(if_etag_match=["kittens", stored.etag]) == stored.download_as_bytes()


def test_a_read_is_refused_where_the_etag_is_another_one(bucket: storage.Bucket, stored: storage.Blob) -> None:
    fresh = bucket.blob(stored.name)

    for read in (fresh.exists, fresh.reload, fresh.download_as_bytes):
        with pytest.raises(PreconditionFailed):
            read(if_etag_match="kittens")
        with pytest.raises(NotModified):
            read(if_etag_not_match=stored.etag)


def test_an_etag_is_another_one_after_a_patch(bucket: storage.Bucket, stored: storage.Blob) -> None:
    before = stored.etag
    stored.metadata = {"k": "v"}
    stored.patch()

    assert bucket.blob(stored.name).exists(if_etag_match=stored.etag)
    with pytest.raises(PreconditionFailed):
        bucket.blob(stored.name).exists(if_etag_match=before)


@pytest.mark.parametrize(("header", "status"), [("*", 200), ('"kittens"', 412), ('W/"kittens", *', 200)])
def test_a_write_asks_for_an_etag_over_plain_http(
    raw: httpx.Client, stored: storage.Blob, header: str, status: int
) -> None:
    where = f"/storage/v1/b/{stored.bucket.name}/o/{stored.name}"

    answer = raw.patch(where, json={"metadata": {"k": "v"}}, headers={"if-match": header})

    assert answer.status_code == status
