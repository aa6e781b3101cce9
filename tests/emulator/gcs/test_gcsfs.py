"""gcsfs, and so `datasets`, with nothing said to them but the server's address in the environment."""

from __future__ import annotations

import json
import os
from pathlib import Path

import gcsfs
import pytest
from google.cloud import storage

MEBIBYTE = 1 << 20

# gcsfs hands aiohttp its blocks as they are, which aiohttp finds too large.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")


def test_a_small_file_is_written_and_read(files: gcsfs.GCSFileSystem, bucket: storage.Bucket) -> None:
    files.pipe(f"{bucket.name}/a/ü b.txt", b"hello")

    assert files.cat(f"{bucket.name}/a/ü b.txt") == b"hello"


@pytest.mark.parametrize("size", [0, 1, 5 * MEBIBYTE, 12 * MEBIBYTE, 12 * MEBIBYTE + 7])
def test_a_stream_is_written_and_read(files: gcsfs.GCSFileSystem, bucket: storage.Bucket, size: int) -> None:
    content = os.urandom(size)
    with files.open(f"{bucket.name}/stream", "wb", block_size=5 * MEBIBYTE) as file:
        for start in range(0, size, 700_001):
            file.write(content[start : start + 700_001])

    with files.open(f"{bucket.name}/stream", "rb", block_size=MEBIBYTE) as file:
        assert file.read() == content


def test_checksums_are_checked(files: gcsfs.GCSFileSystem, bucket: storage.Bucket) -> None:
    with files.open(f"{bucket.name}/one", "wb", consistency="md5") as file:
        file.write(b"hello")

    assert files.info(f"{bucket.name}/one")["size"] == 5


def test_a_file_is_created_only_once(files: gcsfs.GCSFileSystem, bucket: storage.Bucket) -> None:
    files.pipe_file(f"{bucket.name}/lock", b"me", mode="create")

    with pytest.raises(FileExistsError):
        files.pipe_file(f"{bucket.name}/lock", b"you", mode="create")


def test_folders_are_listed(files: gcsfs.GCSFileSystem, bucket: storage.Bucket) -> None:
    for name in ("a/b/c", "a/d", "e"):
        files.pipe(f"{bucket.name}/{name}", b"x")

    assert files.ls(bucket.name) == [f"{bucket.name}/a", f"{bucket.name}/e"]
    assert files.find(bucket.name) == [f"{bucket.name}/{name}" for name in ("a/b/c", "a/d", "e")]
    assert files.glob(f"{bucket.name}/*/d") == [f"{bucket.name}/a/d"]
    assert files.isdir(f"{bucket.name}/a/b")


def test_a_folder_is_removed_in_a_batch(files: gcsfs.GCSFileSystem, bucket: storage.Bucket) -> None:
    for number in range(30):
        files.pipe(f"{bucket.name}/a/{number}", b"x")

    files.rm(f"{bucket.name}/a", recursive=True)

    assert files.find(bucket.name) == []


def test_a_file_is_copied_and_moved(files: gcsfs.GCSFileSystem, bucket: storage.Bucket) -> None:
    files.pipe(f"{bucket.name}/a", b"x")

    files.copy(f"{bucket.name}/a", f"{bucket.name}/b")
    files.mv(f"{bucket.name}/a", f"{bucket.name}/c")

    assert files.find(bucket.name) == [f"{bucket.name}/b", f"{bucket.name}/c"]


def test_files_are_merged(files: gcsfs.GCSFileSystem, bucket: storage.Bucket) -> None:
    files.pipe({f"{bucket.name}/a": b"1", f"{bucket.name}/b": b"2"})

    files.merge(f"{bucket.name}/c", [f"{bucket.name}/a", f"{bucket.name}/b"])

    assert files.cat(f"{bucket.name}/c") == b"12"


def test_attributes_are_custom_metadata(files: gcsfs.GCSFileSystem, bucket: storage.Bucket) -> None:
    files.pipe(f"{bucket.name}/a", b"x")

    files.setxattrs(f"{bucket.name}/a", step="3", content_type="text/x")

    assert files.getxattr(f"{bucket.name}/a", "step") == "3"
    assert files.info(f"{bucket.name}/a")["contentType"] == "text/x"


def test_a_missing_file_is_not_found(files: gcsfs.GCSFileSystem, bucket: storage.Bucket) -> None:
    with pytest.raises(FileNotFoundError):
        files.cat(f"{bucket.name}/nope")


def test_buckets_come_and_go(files: gcsfs.GCSFileSystem, bucket: storage.Bucket) -> None:
    files.mkdir(f"{bucket.name}2")
    assert f"{bucket.name}2/" in files.ls("")

    files.rmdir(f"{bucket.name}2")

    assert f"{bucket.name}2/" not in files.ls("")


def test_an_upload_can_be_discarded(files: gcsfs.GCSFileSystem, bucket: storage.Bucket) -> None:
    file = files.open(f"{bucket.name}/a", "wb", autocommit=False)
    file.write(b"x" * 11 * MEBIBYTE)
    file.flush()

    file.discard()

    assert not files.exists(f"{bucket.name}/a")


def test_datasets_reads_and_writes_a_bucket(
    files: gcsfs.GCSFileSystem, bucket: storage.Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)  # a bucket is not the hub; other tests forbid the hub
    fsspec.register_implementation("gs", gcsfs.core.GCSFileSystem, clobber=True)
    rows = [{"prompt": "capital of Norway?", "completion": "Oslo"}, {"prompt": "one plus one?", "completion": "two"}]
    files.pipe(f"{bucket.name}/train.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    where = f"gs://{bucket.name}/train.jsonl"
    options = {"token": "anon", "skip_instance_cache": True}

    loaded = datasets.load_dataset("json", data_files=where, storage_options=options, cache_dir=str(tmp_path))["train"]
    loaded.to_parquet(f"gs://{bucket.name}/train.parquet", storage_options=options)

    assert loaded.to_list() == rows
    assert files.info(f"{bucket.name}/train.parquet")["size"] > 0
