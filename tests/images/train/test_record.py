from __future__ import annotations

from pathlib import Path

import pytest

from images.train import record as records
from images.train.failures import Duplicate, StorageFailed
from images.train.storage import Storage
from schemas.run_record import Counts, RunRecord, metadata_of
from tests.images.train.conftest import IDENTITY


def a_record(experiment: str = "support", *, pruned: bool = False) -> RunRecord:
    return RunRecord(
        fleet="acme",
        experiment=experiment,
        identity=IDENTITY,
        attempt=1,
        method="lora",
        artifact_uri="gs://b/a",
        artifact_digest="d",
        base="org/base",
        metrics={"eval_loss": 0.5},
        counts=Counts(train_rows=1),
        pruned=pruned,
    )


def test_a_record_is_found_as_it_was_written(tmp_path: Path) -> None:
    uri = str(tmp_path / "runs" / "r.json")

    records.write(Storage(), uri, a_record())

    assert records.find(Storage(), uri)[0] == a_record()


def test_no_record_has_generation_zero(tmp_path: Path) -> None:
    assert records.find(Storage(), str(tmp_path / "r.json")) == (None, 0)


def test_a_record_is_never_overwritten(tmp_path: Path) -> None:
    uri = str(tmp_path / "r.json")
    records.write(Storage(), uri, a_record("first"))

    with pytest.raises(Duplicate, match="written by another run"):
        records.write(Storage(), uri, a_record("second"))


def test_a_write_that_was_tried_again_after_a_lost_answer_succeeds(tmp_path: Path) -> None:
    uri = str(tmp_path / "r.json")
    records.write(Storage(), uri, a_record())

    records.write(Storage(), uri, a_record())

    assert records.find(Storage(), uri)[0] == a_record()


def test_a_pruned_record_may_be_replaced(tmp_path: Path) -> None:
    uri = str(tmp_path / "r.json")
    records.write(Storage(), uri, a_record(pruned=True))
    _, generation = records.find(Storage(), uri)

    records.write(Storage(), uri, a_record(), expected=generation)

    assert records.find(Storage(), uri)[0] == a_record()


def test_something_else_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("{}")

    with pytest.raises(StorageFailed, match="is not a run record"):
        records.find(Storage(), str(tmp_path / "r.json"))


def test_a_paged_list_shows_the_metadata(bucket: str, storage: Storage) -> None:
    records.write(storage, f"{bucket}/runs/r.json", a_record())

    listed = next(iter(storage.google().list_blobs(bucket.removeprefix("gs://"))))

    assert listed.metadata == metadata_of(a_record())


def test_times_are_utc() -> None:
    assert records.timestamp(0.0) == "1970-01-01T00:00:00Z"
