"""A bucket as a folder for local programs: what they see, what they leave, and what happens to both."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.gcs.errors import StorageError
from reconciler.emulator.gcs.mount import collect, materialise

BUCKET = "mounted"


@pytest.fixture
def buckets(tmp_path: Path) -> Iterator[Buckets]:
    found = Buckets(tmp_path / "storage", lambda: datetime.now(UTC))
    found.create_bucket(BUCKET)
    yield found
    found.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gcs" / BUCKET


def names(buckets: Buckets) -> list[str]:
    return [item.name for item in buckets.list_objects(BUCKET).items]


def test_objects_appear_as_files(buckets: Buckets, folder: Path) -> None:
    buckets.put(BUCKET, "data/train.jsonl", b"rows")
    buckets.put(BUCKET, "other/file", b"x")

    done = materialise(buckets, BUCKET, "data/", folder)

    assert done.written == ["data/train.jsonl"]
    assert (folder / "data/train.jsonl").read_bytes() == b"rows"
    assert not (folder / "other").exists()


def test_a_folder_object_appears_as_an_empty_folder(buckets: Buckets, folder: Path) -> None:
    buckets.put(BUCKET, "model/", b"")

    materialise(buckets, BUCKET, "", folder)

    assert (folder / "model").is_dir()


def test_a_missing_bucket_is_not_found(buckets: Buckets, folder: Path) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        materialise(buckets, "no-such-bucket", "", folder)


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/absolute", "a//b", "./a"])
def test_a_name_that_no_file_can_have_is_refused(buckets: Buckets, folder: Path, name: str) -> None:
    buckets.put(BUCKET, name, b"x")

    done = materialise(buckets, BUCKET, "", folder)

    assert [refused for refused, _ in done.refused] == [name]
    assert not (folder.parent / "outside").exists()


def test_an_object_is_not_written_through_a_link_that_leads_out(buckets: Buckets, folder: Path, tmp_path: Path) -> None:
    buckets.put(BUCKET, "link/file", b"x")
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path)

    done = materialise(buckets, BUCKET, "", folder)

    assert [refused for refused, _ in done.refused] == ["link/file"]
    assert not (tmp_path / "file").exists()


def test_an_object_and_a_folder_of_one_name_are_told(buckets: Buckets, folder: Path) -> None:
    buckets.put(BUCKET, "a", b"x")
    buckets.put(BUCKET, "a/b", b"y")

    done = materialise(buckets, BUCKET, "", folder)

    assert [refused for refused, _ in done.refused] == ["a/b"]


def test_a_program_that_changes_a_file_does_not_change_the_object(buckets: Buckets, folder: Path) -> None:
    buckets.put(BUCKET, "a", b"old")
    materialise(buckets, BUCKET, "", folder)

    with (folder / "a").open("ab") as file:
        file.write(b" and more")

    assert buckets.read(BUCKET, "a") == b"old"


def test_new_files_become_objects(buckets: Buckets, folder: Path) -> None:
    materialise(buckets, BUCKET, "", folder)
    (folder / "model").mkdir()
    (folder / "model/adapter.json").write_text("{}", encoding="utf-8")

    done = collect(buckets, BUCKET, folder)

    assert done.written == ["model/adapter.json"]
    assert buckets.read(BUCKET, "model/adapter.json") == b"{}"
    assert buckets.get(BUCKET, "model/adapter.json").settings == {"contentType": "application/json"}


def test_collecting_twice_writes_nothing_new(buckets: Buckets, folder: Path) -> None:
    buckets.put(BUCKET, "old", b"old")
    materialise(buckets, BUCKET, "", folder)
    (folder / "new").write_bytes(b"new")
    collect(buckets, BUCKET, folder)

    done = collect(buckets, BUCKET, folder)

    assert (done.written, done.removed) == ([], [])


def test_a_changed_file_is_written_back(buckets: Buckets, folder: Path) -> None:
    buckets.put(BUCKET, "a", b"old")
    materialise(buckets, BUCKET, "", folder)
    (folder / "a").write_bytes(b"newer")

    collect(buckets, BUCKET, folder)

    assert buckets.read(BUCKET, "a") == b"newer"


def test_a_removed_file_removes_its_object(buckets: Buckets, folder: Path) -> None:
    buckets.put(BUCKET, "checkpoint-1/weights", b"x")
    materialise(buckets, BUCKET, "", folder)
    (folder / "checkpoint-1/weights").unlink()

    done = collect(buckets, BUCKET, folder)

    assert done.removed == ["checkpoint-1/weights"]
    assert names(buckets) == []


def test_a_folder_that_was_cleared_away_removes_no_objects(buckets: Buckets, folder: Path) -> None:
    buckets.put(BUCKET, "a", b"x")
    materialise(buckets, BUCKET, "", folder)
    (folder / "a").unlink()
    folder.rmdir()

    collect(buckets, BUCKET, folder)
    materialise(buckets, BUCKET, "", folder)

    assert names(buckets) == ["a"]
    assert (folder / "a").read_bytes() == b"x"


def test_objects_that_were_not_shown_are_never_removed(buckets: Buckets, folder: Path) -> None:
    materialise(buckets, BUCKET, "", folder)
    buckets.put(BUCKET, "from elsewhere", b"x")

    collect(buckets, BUCKET, folder)

    assert names(buckets) == ["from elsewhere"]


def test_what_others_write_appears_at_the_next_look(buckets: Buckets, folder: Path) -> None:
    buckets.put(BUCKET, "a", b"old")
    materialise(buckets, BUCKET, "", folder)
    buckets.put(BUCKET, "a", b"newer")
    buckets.put(BUCKET, "b", b"new")

    materialise(buckets, BUCKET, "", folder)

    assert ((folder / "a").read_bytes(), (folder / "b").read_bytes()) == (b"newer", b"new")


def test_what_others_remove_disappears_at_the_next_look(buckets: Buckets, folder: Path) -> None:
    buckets.put(BUCKET, "a", b"old")
    materialise(buckets, BUCKET, "", folder)
    buckets.delete(BUCKET, "a")

    done = materialise(buckets, BUCKET, "", folder)

    assert done.removed == ["a"]
    assert not (folder / "a").exists()


def test_a_look_leaves_a_programs_own_files_alone(buckets: Buckets, folder: Path) -> None:
    buckets.put(BUCKET, "a", b"old")
    materialise(buckets, BUCKET, "", folder)
    (folder / "a").write_bytes(b"mine, not collected yet")
    (folder / "b").write_bytes(b"mine too")
    buckets.put(BUCKET, "b", b"theirs")

    materialise(buckets, BUCKET, "", folder)

    assert (folder / "a").read_bytes() == b"mine, not collected yet"
    assert (folder / "b").read_bytes() == b"mine too"


def test_a_change_on_both_sides_is_told_and_loses_nothing(buckets: Buckets, folder: Path) -> None:
    buckets.put(BUCKET, "a", b"old")
    materialise(buckets, BUCKET, "", folder)
    (folder / "a").write_bytes(b"mine")
    buckets.put(BUCKET, "a", b"theirs")

    done = collect(buckets, BUCKET, folder, final=True)

    assert [name for name, _ in done.refused] == ["a"]
    assert (buckets.read(BUCKET, "a"), (folder / "a").read_bytes()) == (b"theirs", b"mine")


def test_a_write_whose_note_was_lost_is_not_a_conflict(buckets: Buckets, folder: Path) -> None:
    buckets.put(BUCKET, "a", b"old")
    materialise(buckets, BUCKET, "", folder)
    (folder / "a").write_bytes(b"mine")
    generation = buckets.put(BUCKET, "a", b"mine").generation  # a collect that was killed before its last line

    done = collect(buckets, BUCKET, folder)

    assert (done.written, done.refused) == ([], [])
    assert buckets.get(BUCKET, "a").generation == generation


def test_a_file_that_is_being_written_waits(buckets: Buckets, folder: Path) -> None:
    materialise(buckets, BUCKET, "", folder)
    hold = "import sys; file = open(sys.argv[1], 'w'); file.write('half'); file.flush(); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(folder / "slow")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()

        while_writing = collect(buckets, BUCKET, folder)
        writer.communicate(b"\n")
    afterwards = collect(buckets, BUCKET, folder)

    assert (while_writing.busy, while_writing.written) == (["slow"], [])
    assert afterwards.written == ["slow"]


def test_at_the_end_even_an_open_file_is_taken(buckets: Buckets, folder: Path) -> None:
    materialise(buckets, BUCKET, "", folder)
    with (folder / "slow").open("w") as file:
        file.write("all there is")
        file.flush()

        done = collect(buckets, BUCKET, folder, final=True)

    assert done.written == ["slow"]


# Opens the same files for writing again and again, without waiting for anybody.
OPENER = """
import os, sys, time
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    for name in os.listdir(sys.argv[1]):
        try:
            os.close(os.open(os.path.join(sys.argv[1], name), os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            pass
"""
# Looks whether they are being written, as the server does every few seconds; its end by a signal would be the server's.
LOOKER = """
import subprocess, sys
from pathlib import Path
from reconciler.emulator.gcs.mount import _being_written
opener = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2], "1.0"])
while opener.poll() is None:
    for path in Path(sys.argv[2]).iterdir():
        _being_written(path)
"""


def test_looking_at_files_that_others_open_for_writing_ends_nobody(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x")
    (tmp_path / "two").write_bytes(b"x")

    looked = subprocess.run(
        [sys.executable, "-c", LOOKER, OPENER, str(tmp_path)], capture_output=True, text=True, timeout=120
    )

    assert looked.returncode == 0, looked.stderr
