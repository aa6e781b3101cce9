"""The same promises of a local disk and of a bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from images.train.storage import PreconditionFailed, Storage, child, split_generation


@pytest.fixture(params=["disk", "bucket"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "disk" else str(request.getfixturevalue("bucket"))


def test_what_was_written_is_read_with_its_generation(folder: str, storage: Storage) -> None:
    generation = storage.write(child(folder, "a/b.json"), b"one", metadata={"k": "v"})

    found = storage.read(child(folder, "a/b.json"))

    assert found is not None
    assert (found.content, found.generation) == (b"one", generation)


def test_nothing_is_read_where_nothing_is(folder: str, storage: Storage) -> None:
    assert storage.read(child(folder, "absent")) is None


def test_a_create_fails_where_something_stands(folder: str, storage: Storage) -> None:
    storage.write(child(folder, "lock"), b"one", expected=0)

    with pytest.raises(PreconditionFailed):
        storage.write(child(folder, "lock"), b"two", expected=0)


def test_a_replacement_fails_once_the_object_changed(folder: str, storage: Storage) -> None:
    first = storage.write(child(folder, "lock"), b"one")
    second = storage.write(child(folder, "lock"), b"two", expected=first)

    with pytest.raises(PreconditionFailed):
        storage.write(child(folder, "lock"), b"three", expected=first)

    found = storage.read(child(folder, "lock"))
    assert found is not None
    assert (found.content, found.generation) == (b"two", second)


def test_a_delete_leaves_what_another_wrote(folder: str, storage: Storage) -> None:
    first = storage.write(child(folder, "lock"), b"one")
    storage.write(child(folder, "lock"), b"two")

    storage.delete(child(folder, "lock"), expected=first)

    assert storage.read(child(folder, "lock")) is not None


def test_a_delete_removes_what_we_wrote_and_may_be_repeated(folder: str, storage: Storage) -> None:
    first = storage.write(child(folder, "lock"), b"one")

    storage.delete(child(folder, "lock"), expected=first)
    storage.delete(child(folder, "lock"), expected=first)

    assert storage.read(child(folder, "lock")) is None


def test_a_folder_is_uploaded_with_its_folders(folder: str, storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_bytes(b"x")

    storage.upload_folder(source, child(folder, "out"))

    found = storage.read(child(folder, "out/deep/file"))
    assert found is not None
    assert found.content == b"x"


def test_only_a_number_after_the_hash_is_a_generation() -> None:
    assert split_generation("gs://b/o#12") == ("gs://b/o", 12)
    assert split_generation("gs://b/o#twelve") == ("gs://b/o#twelve", None)
    assert split_generation("/tmp/o#12") == ("/tmp/o#12", None)
