from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.repo.files import Entry, Files, Unreadable, tree_digest

LATER = 10**19
"""Nanoseconds since the epoch, long after every file of a test was written."""


def test_a_file_is_known_by_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"abc")

    content = Files(tmp_path).content("rows.jsonl")

    digest = hashlib.sha256(b"abc").hexdigest()
    assert (content.digest, content.folder, content.size) == (digest, False, 3)
    assert content.entries == (Entry("", 3, digest),)


def test_a_folder_s_hash_is_pinned(tmp_path: Path) -> None:
    for name, text in {"b.txt": "2", "a.txt": "1", "sub/c.txt": "3", ".hidden": "4"}.items():
        (tmp_path / "base" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "base" / name).write_text(text)

    content = Files(tmp_path).content("base")

    assert [entry.name for entry in content.entries] == [".hidden", "a.txt", "b.txt", "sub/c.txt"]
    assert content.digest == "90fba903e9a4e7052e6bf9e12ad24c214b50d4cb67f09ff58e7f28312f6729e5"


def test_a_folder_s_hash_does_not_depend_on_the_order_of_its_files() -> None:
    entries = (Entry("a", 1, "11"), Entry("b", 1, "22"))

    assert tree_digest(entries) == tree_digest(entries[::-1])


@pytest.mark.parametrize("change", ["content", "name", "one more"])
def test_any_change_in_a_folder_changes_its_hash(tmp_path: Path, change: str) -> None:
    file = written(tmp_path / "base/a.txt", "1")
    before = Files(tmp_path).content("base").digest

    if change == "content":
        file.write_text("2")
    elif change == "name":
        file.rename(file.with_name("b.txt"))
    else:
        written(tmp_path / "base/empty.txt", "")

    assert Files(tmp_path).content("base").digest != before


def test_times_and_permissions_do_not_count(tmp_path: Path) -> None:
    file = written(tmp_path / "base/a.txt", "1")
    before = Files(tmp_path).content("base").digest

    os.utime(file, (1, 1))
    file.chmod(0o600)

    assert Files(tmp_path).content("base").digest == before


def test_a_link_to_a_file_of_the_repository_is_that_file(tmp_path: Path) -> None:
    written(tmp_path / "blobs/1", "weights")
    (tmp_path / "base").mkdir()
    (tmp_path / "base/model.safetensors").symlink_to("../blobs/1")

    (entry,) = Files(tmp_path).content("base").entries

    assert (entry.name, entry.sha256) == ("model.safetensors", hashlib.sha256(b"weights").hexdigest())


def test_a_link_to_a_folder_that_is_named_itself_is_followed(tmp_path: Path) -> None:
    written(tmp_path / "real/a.txt", "1")
    (tmp_path / "base").symlink_to("real")

    content = Files(tmp_path).content("base")

    assert [entry.name for entry in content.entries] == ["a.txt"]
    assert content.path == "base"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: None, "base does not exist"),
        (lambda root: (root / "base").mkdir(), "the folder base is empty"),
        (lambda root: (root / "base").symlink_to("/etc/passwd"), "base leads out of the repository"),
        (lambda root: (root / "base").symlink_to("base"), "base does not exist"),
        (lambda root: linked(root / "base/a", "/etc/passwd"), "base leads out of the repository"),
        (lambda root: linked(root / "base/a", "nowhere"), "cannot be followed"),
        (lambda root: linked(root / "base/sub", ".."), "base holds a link to a folder: sub"),
        (lambda root: os.mkfifo(root / "base"), "is not a plain file"),
        (lambda root: bound(root / "base"), "is not a plain file"),
    ],
)
def test_what_cannot_be_pinned_is_refused_in_words(tmp_path: Path, make: Callable[[Path], None], words: str) -> None:
    make(tmp_path)

    with pytest.raises(Unreadable, match=words) as refused:
        Files(tmp_path).content("base")

    assert refused.value.remedy


def test_the_root_itself_may_be_reached_by_a_link(tmp_path: Path) -> None:
    written(tmp_path / "real/rows.jsonl", "1")
    (tmp_path / "link").symlink_to("real")

    assert Files(tmp_path / "link").content("rows.jsonl").path == "rows.jsonl"


def test_a_remembered_hash_is_not_computed_again(tmp_path: Path) -> None:
    file, cache = written(tmp_path / "rows.jsonl", "1"), tmp_path / "cache/hashes.json"
    first = Files(tmp_path, cache, now=lambda: LATER)
    digest = first.content("rows.jsonl").digest
    first.save()
    cache.write_text(cache.read_text().replace(digest, "f" * 64))

    again = Files(tmp_path, cache, now=lambda: LATER).content("rows.jsonl")

    assert again.digest == "f" * 64
    assert file.exists()


@pytest.mark.parametrize("edit", ["content of the same size", "another file of the same size and time"])
def test_an_edited_file_is_read_again(tmp_path: Path, edit: str) -> None:
    file, cache = written(tmp_path / "rows.jsonl", "1"), tmp_path / "hashes.json"
    first = Files(tmp_path, cache, now=lambda: LATER)
    first.content("rows.jsonl")
    first.save()
    status = file.stat()

    if edit == "content of the same size":
        file.write_text("2")
    else:
        written(tmp_path / "other", "2").rename(file)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    digest = Files(tmp_path, cache, now=lambda: LATER).content("rows.jsonl").digest
    assert digest == hashlib.sha256(b"2").hexdigest()


def test_a_file_that_was_written_just_now_is_not_remembered(tmp_path: Path) -> None:
    file, cache = written(tmp_path / "rows.jsonl", "1"), tmp_path / "hashes.json"
    files = Files(tmp_path, cache, now=lambda: file.stat().st_mtime_ns + 1)

    files.content("rows.jsonl")
    files.save()

    assert not cache.exists()


@pytest.mark.parametrize("junk", ["", "{", "[]", '{"a": 1}', '{"a": ["b"]}', "\x00"])
def test_a_broken_memory_is_forgotten(tmp_path: Path, junk: str) -> None:
    written(tmp_path / "rows.jsonl", "1")
    cache = written(tmp_path / "hashes.json", junk)

    assert Files(tmp_path, cache).content("rows.jsonl").digest == hashlib.sha256(b"1").hexdigest()


def test_a_memory_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    written(tmp_path / "rows.jsonl", "1")
    files = Files(tmp_path, tmp_path / "rows.jsonl/hashes.json", now=lambda: LATER)
    files.content("rows.jsonl")

    files.save()

    assert (tmp_path / "rows.jsonl").read_text() == "1"


def test_a_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chat.jinja").write_bytes(b"\xff")

    with pytest.raises(Unreadable, match="cannot be read as a text"):
        Files(tmp_path).text("chat.jinja")


def written(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def linked(link: Path, to: str) -> None:
    link.parent.mkdir()
    link.symlink_to(to)


def bound(place: Path) -> None:
    here = Path.cwd()
    os.chdir(place.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(place.name)
    finally:
        os.chdir(here)
