from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from images.common.storage import cache_folder, fetch_folder, list_folder, split_uri, storage_client, upload_folder


@pytest.fixture
def client(cloud: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud)
    return storage_client()


@pytest.fixture
def bucket(client: Any, request: pytest.FixtureRequest) -> Any:
    return client.create_bucket(f"b-{abs(hash(request.node.name)) % 10**10}")


def fill(bucket: Any, folder: str, **files: str) -> str:
    for name, content in files.items():
        bucket.blob(f"{folder}/{name.replace('__', '/')}").upload_from_string(content)
    return f"gs://{bucket.name}/{folder}"


def test_a_bucket_folder_arrives_whole(client: Any, bucket: Any, tmp_path: Path) -> None:
    uri = fill(bucket, "models/one", config="{}", sub__weights="w" * 100_000)

    folder = fetch_folder(uri, tmp_path, client=client)

    assert (folder / "config").read_text() == "{}"
    assert (folder / "sub" / "weights").read_text() == "w" * 100_000
    assert [path for path in (tmp_path / "folders").iterdir() if path != folder] == []


def test_what_was_fetched_is_not_fetched_again_not_even_from_another_address(
    client: Any, bucket: Any, tmp_path: Path
) -> None:
    first = fetch_folder(fill(bucket, "one", config="same"), tmp_path, client=client)
    stamp = (first / "config").stat().st_mtime_ns

    second = fetch_folder(fill(bucket, "two", config="same"), tmp_path, client=client)

    assert second == first
    assert (second / "config").stat().st_mtime_ns == stamp


def test_other_content_lies_beside_the_old(client: Any, bucket: Any, tmp_path: Path) -> None:
    old = fetch_folder(fill(bucket, "one", config="old"), tmp_path, client=client)

    new = fetch_folder(fill(bucket, "one", config="new"), tmp_path, client=client)

    assert ((old / "config").read_text(), (new / "config").read_text()) == ("old", "new")


def test_a_copy_that_lost_a_file_is_fetched_again(client: Any, bucket: Any, tmp_path: Path) -> None:
    uri = fill(bucket, "one", config="{}", weights="www")
    (fetch_folder(uri, tmp_path, client=client) / "weights").unlink()

    folder = fetch_folder(uri, tmp_path, client=client)

    assert (folder / "weights").read_text() == "www"


def test_a_folder_is_not_its_longer_named_neighbour(client: Any, bucket: Any) -> None:
    fill(bucket, "one", config="{}")
    fill(bucket, "one-more", config="{}")

    assert [piece.name for piece in list_folder(client, bucket.name, "one")] == ["config"]


def test_an_empty_bucket_folder_is_an_error_with_its_address(client: Any, bucket: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"gs://{bucket.name}/none"):
        fetch_folder(f"gs://{bucket.name}/none", tmp_path, client=client)


def test_an_object_name_that_leaves_its_folder_is_refused(client: Any, bucket: Any, tmp_path: Path) -> None:
    bucket.blob("one/../../escaped").upload_from_string("x")

    with pytest.raises(ValueError, match="leaves its folder"):
        fetch_folder(f"gs://{bucket.name}/one", tmp_path, client=client)


def test_an_upload_replaces_other_content_and_leaves_the_same_alone(client: Any, bucket: Any, tmp_path: Path) -> None:
    uri = fill(bucket, "out", same="one", other="old")
    before = bucket.get_blob("out/same").generation
    for name, content in (("same", "one"), ("other", "new"), ("more", "x")):
        (tmp_path / name).write_text(content)

    upload_folder(tmp_path, uri, client=client)

    assert bucket.get_blob("out/same").generation == before
    assert bucket.blob("out/other").download_as_bytes() == b"new"
    assert bucket.blob("out/more").download_as_bytes() == b"x"


def test_a_local_folder_is_used_where_it_lies(tmp_path: Path) -> None:
    assert fetch_folder(str(tmp_path), tmp_path / "cache") == tmp_path
    with pytest.raises(FileNotFoundError, match="no folder"):
        fetch_folder(str(tmp_path / "none"), tmp_path / "cache")


@pytest.mark.parametrize("uri", ["s3://b/x", "gs://", "gs:///x"])
def test_a_malformed_address_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match=uri):
        split_uri(uri)


def test_the_cache_lies_where_the_environment_says() -> None:
    assert cache_folder({"LORAFORM_CACHE": "/c"}) == Path("/c")
    assert cache_folder({"HOME": "/home/me"}) == Path("/home/me/.cache/loraform")
