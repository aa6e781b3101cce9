"""Lists of objects through the official client, and against a model in plain Python."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import httpx
import pytest
from google.api_core.exceptions import NotFound
from google.cloud import storage
from hypothesis import example, given
from hypothesis import strategies as st

from tests.emulator.gcs.conftest import Served

NAMES = ("a/b", "a/c", "d", "e", "e/f", "e/g/h")


@pytest.fixture
def filled(bucket: storage.Bucket, served: Served) -> storage.Bucket:
    for name in NAMES:
        served.buckets.put(bucket.name, name, b"x")
    return bucket


def names(iterator) -> tuple[list[str], list[str]]:
    found = [blob.name for blob in iterator]
    return found, sorted(iterator.prefixes)


def test_objects_are_listed_in_order_of_their_names(filled: storage.Bucket) -> None:
    assert names(filled.list_blobs()) == (list(NAMES), [])


def test_a_delimiter_rolls_names_up(filled: storage.Bucket) -> None:
    assert names(filled.list_blobs(delimiter="/")) == (["d", "e"], ["a/", "e/"])


def test_a_prefix_and_a_delimiter_walk_into_a_folder(filled: storage.Bucket) -> None:
    assert names(filled.list_blobs(prefix="e/", delimiter="/")) == (["e/f"], ["e/g/"])


def test_a_delimiter_may_be_any_text(filled: storage.Bucket) -> None:
    assert names(filled.list_blobs(delimiter="/g")) == (["a/b", "a/c", "d", "e", "e/f"], ["e/g"])


def test_offsets_cut_the_list_at_both_ends(filled: storage.Bucket) -> None:
    assert names(filled.list_blobs(start_offset="a/c", end_offset="e/f")) == (["a/c", "d", "e"], [])


def test_a_folder_object_is_listed_beside_its_folder_if_asked(filled: storage.Bucket) -> None:
    filled.blob("a/").upload_from_string("")

    assert names(filled.list_blobs(delimiter="/")) == (["d", "e"], ["a/", "e/"])
    assert names(filled.list_blobs(delimiter="/", include_trailing_delimiter=True)) == (["a/", "d", "e"], ["a/", "e/"])


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*", ["d", "e"]),
        ("**", list(NAMES)),
        ("*/*", ["a/b", "a/c", "e/f"]),
        ("**/h", ["e/g/h"]),
        ("a/[a-b]", ["a/b"]),
        ("a/[!b]", ["a/c"]),
        ("?", ["d", "e"]),
        ("{a,e}/{b,f}", ["a/b", "e/f"]),
        ("nothing", []),
    ],
)
def test_a_glob_chooses_objects(filled: storage.Bucket, glob: str, expected: list[str]) -> None:
    assert names(filled.list_blobs(match_glob=glob))[0] == expected


def test_a_glob_that_cannot_be_read_is_refused(raw: httpx.Client, filled: storage.Bucket) -> None:
    answer = raw.get(f"/storage/v1/b/{filled.name}/o", params={"matchGlob": "a{b"})

    assert answer.status_code == 400


def test_a_page_holds_at_most_what_was_asked(raw: httpx.Client, filled: storage.Bucket) -> None:
    answer = raw.get(f"/storage/v1/b/{filled.name}/o", params={"maxResults": 3, "delimiter": "/"}).json()

    assert [item["name"] for item in answer["items"]] == ["d"] or len(answer["items"] + answer["prefixes"]) == 3
    assert "nextPageToken" in answer


def test_pages_together_are_the_whole_list(filled: storage.Bucket) -> None:
    assert names(filled.list_blobs(page_size=2)) == (list(NAMES), [])


def test_max_results_ends_a_list(filled: storage.Bucket) -> None:
    assert names(filled.list_blobs(max_results=2))[0] == ["a/b", "a/c"]


def test_the_last_page_has_no_token(raw: httpx.Client, filled: storage.Bucket) -> None:
    answer = raw.get(f"/storage/v1/b/{filled.name}/o", params={"maxResults": len(NAMES)}).json()

    assert "nextPageToken" not in answer


@pytest.mark.parametrize("token", ["nonsense", "WzEsMl0=", "W10="])
def test_a_token_that_was_never_given_out_is_refused(raw: httpx.Client, filled: storage.Bucket, token: str) -> None:
    answer = raw.get(f"/storage/v1/b/{filled.name}/o", params={"pageToken": token})

    assert (answer.status_code, answer.json()["error"]["errors"][0]["location"]) == (400, "pageToken")


def test_an_empty_list_has_no_items(raw: httpx.Client, bucket: storage.Bucket) -> None:
    assert raw.get(f"/storage/v1/b/{bucket.name}/o").json() == {"kind": "storage#objects"}


def test_a_list_of_a_missing_bucket_is_not_found(client: storage.Client) -> None:
    with pytest.raises(NotFound):
        list(client.list_blobs("no-such-bucket-here"))


def test_custom_metadata_is_in_the_list(filled: storage.Bucket) -> None:
    blob = filled.blob("with-metadata")
    blob.metadata = {"eval_loss": "1.25"}
    blob.upload_from_string("x")

    found = {one.name: one.metadata for one in filled.list_blobs()}

    assert found["with-metadata"] == {"eval_loss": "1.25"}


def test_a_list_shows_only_the_fields_that_were_asked_for(raw: httpx.Client, filled: storage.Bucket) -> None:
    params = {"fields": "items(name,size),nextPageToken", "maxResults": 1}

    answer = raw.get(f"/storage/v1/b/{filled.name}/o", params=params).json()

    assert answer["items"] == [{"name": "a/b", "size": "1"}]
    assert set(answer) == {"items", "nextPageToken"}


def test_the_official_client_passes_fields_on(filled: storage.Bucket) -> None:
    found = next(iter(filled.list_blobs(fields="items/name,nextPageToken")))

    assert (found.name, found.size) == ("a/b", None)


@pytest.mark.parametrize("fields", ["items(", "items)", ",", "items//name", "a(b)c("])
def test_a_selection_that_cannot_be_read_is_refused(raw: httpx.Client, filled: storage.Bucket, fields: str) -> None:
    answer = raw.get(f"/storage/v1/b/{filled.name}/o", params={"fields": fields})

    assert (answer.status_code, answer.json()["error"]["message"]) == (400, f"Invalid field selection {fields}")


# The model.

NAME = st.text(alphabet="ab/0é🙂", min_size=1, max_size=6)


@dataclass(frozen=True)
class Asked:
    prefix: str
    delimiter: str
    trailing: bool
    start: str
    end: str
    size: int


ASKED = st.builds(
    Asked,
    prefix=st.one_of(st.just(""), NAME),
    delimiter=st.sampled_from(["", "/", "/", "a", "b/"]),
    trailing=st.booleans(),
    start=st.one_of(st.just(""), NAME),
    end=st.one_of(st.just(""), NAME),
    size=st.integers(1, 4),
)


def expected_list(stored: set[str], asked: Asked) -> tuple[list[str], list[str]]:
    """What a list must be, said as simply as can be: filter, then roll up."""
    chosen = [
        name
        for name in sorted(stored, key=str.encode)
        if name.startswith(asked.prefix) and name >= asked.start and (not asked.end or name < asked.end)
    ]
    items: list[str] = []
    prefixes: set[str] = set()
    for name in chosen:
        rest = name[len(asked.prefix) :]
        if not asked.delimiter or asked.delimiter not in rest:
            items.append(name)
            continue
        group = asked.prefix + rest.split(asked.delimiter, 1)[0] + asked.delimiter
        prefixes.add(group)
        if asked.trailing and name == group:
            items.append(name)
    return items, sorted(prefixes, key=str.encode)


@given(stored=st.sets(NAME, max_size=12), asked=ASKED)
@example(stored={"a/", "a/b"}, asked=Asked("", "/", True, "", "", 1))
@example(stored={"a/b", "a/c"}, asked=Asked("", "/", False, "a/c", "", 1))
def test_every_list_is_what_the_model_says(served: Served, raw: httpx.Client, stored: set[str], asked: Asked) -> None:
    name = served.buckets.create_bucket(f"model-{uuid.uuid4().hex}").name
    for one in stored:
        served.buckets.put(name, one, b"")
    params = {
        "prefix": asked.prefix, "delimiter": asked.delimiter, "startOffset": asked.start, "endOffset": asked.end,
        "includeTrailingDelimiter": str(asked.trailing).lower(), "maxResults": asked.size,
    }  # fmt: skip

    items: list[str] = []
    prefixes: list[str] = []
    token: str | None = ""
    while token is not None:
        page = raw.get(f"/storage/v1/b/{name}/o", params={**params, "pageToken": token}).json()
        items += [item["name"] for item in page.get("items", [])]
        prefixes += page.get("prefixes", [])
        token = page.get("nextPageToken")
        assert len(page.get("items", [])) + len(page.get("prefixes", [])) <= asked.size

    assert (items, prefixes) == expected_list(stored, asked)
