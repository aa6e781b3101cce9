from __future__ import annotations

import io
from pathlib import Path

import pytest

from images.train.failures import DataInvalid, StorageFailed
from images.train.sources import read_records, read_sources
from images.train.storage import Storage


def read(path: Path, content: bytes) -> tuple[list[tuple[int, object]], list[str]]:
    path.write_bytes(content)
    records, bad, _ = read_records(Storage(), str(path))
    return [(record.line, record.value) for record in records], [str(row) for row in bad]


def test_every_unreadable_line_is_reported_and_the_others_are_read(tmp_path: Path) -> None:
    content = b'{"a": 1}\n{"a": \n[1]\n\n\xff\xfe\n"x"\n{"a": 2}\n'

    records, bad = read(tmp_path / "train.jsonl", content)

    assert records == [(1, {"a": 1}), (7, {"a": 2})]
    assert bad == [
        "train.jsonl:2: not JSON: Expecting value at column 7",
        "train.jsonl:3: a JSON object is wanted, not an array",
        "train.jsonl:5: not UTF-8 at byte 1",
        "train.jsonl:6: a JSON object is wanted, not a string",
    ]


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    records, bad = read(tmp_path / "train.jsonl", b'\xef\xbb\xbf{"a": 1}\n')

    assert (records, bad) == ([(1, {"a": 1})], [])


def test_lines_of_windows_files_are_read(tmp_path: Path) -> None:
    records, bad = read(tmp_path / "train.jsonl", b'{"a": 1}\r\n{"a": 2}\r\n')

    assert (records, bad) == ([(1, {"a": 1}), (2, {"a": 2})], [])


def test_a_line_separator_inside_a_text_does_not_end_the_line(tmp_path: Path) -> None:
    records, _ = read(tmp_path / "train.jsonl", '{"a": "one\u2028two"}\n'.encode())

    assert records == [(1, {"a": "one\u2028two"})]


def test_a_json_array_is_read_row_by_row(tmp_path: Path) -> None:
    records, bad = read(tmp_path / "train.json", b'[{"a": 1}, 7]')

    assert records == [(1, {"a": 1})]
    assert bad == ["train.json:2: a JSON object is wanted, not a number"]


def test_json_that_is_really_jsonl_says_so(tmp_path: Path) -> None:
    _, bad = read(tmp_path / "train.json", b'{"a": 1}\n{"a": 2}\n')

    assert bad == ["train.json:2: not JSON: Extra data at column 1 (one object per line is `.jsonl`)"]


def test_csv_rows_are_numbered_by_their_lines(tmp_path: Path) -> None:
    records, bad = read(tmp_path / "train.csv", b'prompt,completion\n"a\nb",c\nd\n')

    assert records == [(3, {"prompt": "a\nb", "completion": "c"})]
    assert bad == ["train.csv:4: as many columns as the header (2) are wanted"]


def test_parquet_rows_are_read(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"text": "one"}, {"text": "two"}]), sink)

    records, bad = read(tmp_path / "train.parquet", sink.getvalue())

    assert (records, bad) == ([(1, {"text": "one"}), (2, {"text": "two"})], [])


def test_something_else_called_parquet_is_a_bad_row(tmp_path: Path) -> None:
    records, bad = read(tmp_path / "train.parquet", b"not that")

    assert records == []
    assert bad[0].startswith("train.parquet:1: not Parquet")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="has no rows"):
        read(tmp_path / "train.jsonl", b"\n\n")


def test_a_missing_file_names_its_address(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match=r"absent\.jsonl is not there"):
        read_records(Storage(), str(tmp_path / "absent.jsonl"))


def test_the_generation_that_was_read_is_recorded(bucket: str, storage: Storage) -> None:
    generation = storage.write(f"{bucket}/train.jsonl", b'{"a": 1}\n')

    records, _, read = read_records(storage, f"{bucket}/train.jsonl#{generation}")

    assert [record.value for record in records] == [{"a": 1}]
    assert (read.uri, read.generation, read.rows) == (f"{bucket}/train.jsonl", generation, 1)
    assert read.crc32c


def test_a_pinned_generation_that_was_overwritten_is_not_replaced_by_the_newest(bucket: str, storage: Storage) -> None:
    first = storage.write(f"{bucket}/train.jsonl", b'{"a": 1}\n')
    storage.write(f"{bucket}/train.jsonl", b'{"a": 2}\n')

    with pytest.raises(StorageFailed, match=r"`loraform pin` again"):
        read_records(storage, f"{bucket}/train.jsonl#{first}")


@pytest.mark.parametrize("place", ["disk", "bucket"])
@pytest.mark.parametrize(
    ("pattern", "values"),
    [("rows/*.jsonl", [1, 2]), ("rows/**/*.jsonl", [1, 2, 3]), ("*/a.jsonl", [1])],
)
def test_a_pattern_reads_its_files_in_the_order_of_their_names(
    request: pytest.FixtureRequest, tmp_path: Path, storage: Storage, place: str, pattern: str, values: list[int]
) -> None:
    folder = str(tmp_path) if place == "disk" else str(request.getfixturevalue("bucket"))
    for name, value in (("b.jsonl", 2), ("a.jsonl", 1), ("c.txt", 9), ("deep/c.jsonl", 3)):
        storage.write(f"{folder}/rows/{name}", f'{{"a": {value}}}\n'.encode())

    records, bad, reads = read_sources(storage, f"{folder}/{pattern}")

    assert [record.value["a"] for record in records] == values
    assert (bad, len(reads)) == ([], len(values))


def test_a_pattern_that_matches_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match=r"Nothing matches .*\*\.jsonl"):
        read_sources(Storage(), str(tmp_path / "*.jsonl"))
