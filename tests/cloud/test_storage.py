from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.cloud.site import Site
from reconciler.cloud.storage import ABSENT, Storage, connect_storage
from reconciler.core.errors import Conflict, LoraformError, NotFound, Terminal
from reconciler.core.target import Target


@pytest.fixture
def storage(site: Site) -> Storage:
    return site.storage


def test_an_object_is_read_with_the_generation_that_its_content_has(storage: Storage) -> None:
    written = storage.write("a.json", b"one")

    assert storage.read("a.json") == (b"one", written)


def test_an_object_that_is_not_there_is_not_found(storage: Storage) -> None:
    with pytest.raises(NotFound):
        storage.read("nowhere.json")


def test_creating_what_is_there_is_a_conflict_and_changes_nothing(storage: Storage) -> None:
    storage.write("a.json", b"one", generation=ABSENT)

    with pytest.raises(Conflict):
        storage.write("a.json", b"two", generation=ABSENT)

    assert storage.read("a.json")[0] == b"one"


def test_replacing_a_version_that_has_gone_is_a_conflict(storage: Storage) -> None:
    first = storage.write("a.json", b"one")
    storage.write("a.json", b"two", generation=first)

    with pytest.raises(Conflict):
        storage.write("a.json", b"three", generation=first)

    assert storage.read("a.json")[0] == b"two"


def test_of_two_threads_that_create_one_object_exactly_one_wins(storage: Storage) -> None:
    barrier = threading.Barrier(2)
    wins: list[int] = []
    losses: list[Conflict] = []

    def create(number: int) -> None:
        barrier.wait()
        try:
            storage.write("race.json", b"%d" % number, generation=ABSENT)
            wins.append(number)
        except Conflict as error:
            losses.append(error)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(wins), len(losses)) == (1, 1)
    assert storage.read("race.json")[0] == b"%d" % wins[0]


def test_a_listing_shows_metadata_and_generation_of_everything_below_a_prefix(storage: Storage) -> None:
    first = storage.write("runs/a.json", b"{}", metadata={"job": "1"})
    storage.write("runs/b.json", b"{}")
    storage.write("other/c.json", b"{}")

    listed = storage.list("runs/")

    assert [(item.name, dict(item.metadata)) for item in listed] == [("runs/a.json", {"job": "1"}), ("runs/b.json", {})]
    assert (listed[0].generation, listed[0].size) == (first, 2)
    assert listed[0].updated > 1_700_000_000


def test_a_file_is_uploaded_once_and_never_replaced(storage: Storage, tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    file.write_bytes(b"rows")
    first = storage.upload(file, "data/hash/train.jsonl")
    file.write_bytes(b"other rows")

    second = storage.upload(file, "data/hash/train.jsonl")

    assert (first, second) == (True, False)
    assert storage.read("data/hash/train.jsonl")[0] == b"rows"


def test_a_file_that_was_edited_since_it_was_hashed_is_not_uploaded_under_the_old_hash(
    storage: Storage, tmp_path: Path
) -> None:
    file = tmp_path / "train.jsonl"
    file.write_bytes(b"edited rows")

    with pytest.raises(LoraformError, match="was edited while apply was running"):
        storage.upload(file, "data/hash/train.jsonl", sha256=hashlib.sha256(b"rows").hexdigest())

    assert storage.list("data/") == ()


def test_a_file_that_has_gone_is_a_clear_error(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(LoraformError, match=r"gone\.jsonl: cannot be read"):
        storage.upload(tmp_path / "gone.jsonl", "data/hash/gone.jsonl")


def test_deleting_what_is_not_there_is_harmless(storage: Storage) -> None:
    storage.delete("nowhere.json")


def test_deleting_a_version_that_has_gone_is_a_conflict(storage: Storage) -> None:
    first = storage.write("a.json", b"one")
    storage.write("a.json", b"two")

    with pytest.raises(Conflict):
        storage.delete("a.json", first)


def test_connecting_twice_to_the_embedded_bucket_is_harmless(site: Site, target: Target) -> None:
    site.storage.write("a.json", b"kept")

    again = connect_storage(target)

    assert again.read("a.json")[0] == b"kept"


def test_a_bucket_that_does_not_exist_says_how_to_make_it(site: Site, target: Target) -> None:
    missing = Storage(site.storage._client, "no-such-bucket-here", site.clock, site.storage._patience)

    with pytest.raises(Terminal, match="does not exist") as caught:
        missing.list("runs/")

    assert "gcloud storage buckets create gs://no-such-bucket-here" in caught.value.remedy


def test_two_targets_do_not_share_a_bucket(site: Site, target: Target) -> None:
    other = connect_storage(replace(target, bucket=f"{target.bucket}-other"))
    site.storage.write("a.json", b"mine")

    assert other.list("") == ()
