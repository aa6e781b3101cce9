"""Rows of a data set on a hub (a small server that speaks the hub's wire), read as files."""

from __future__ import annotations

import pytest

from images.train.failures import NotPermitted, StorageFailed
from images.train.hub import Hub as Way
from images.train.hub import fetch_rows, on_hub
from images.train.sources import read_sources
from images.train.storage import Storage
from tests.images.train.hub_server import REVISION, Hub

START = f"hf://datasets/acme/support@{REVISION}"


def way(hub: Hub) -> Way:
    return Way(environ={"HF_ENDPOINT": hub.url})


def test_a_pattern_names_the_files_of_a_commit_and_no_script_is_run(hub: Hub) -> None:
    records, bad, reads = read_sources(Storage(), f"{START}/data/train-*.jsonl", way(hub))

    assert [record.value["a"] for record in records] == [1, 2, 3]
    assert bad == []
    assert [(read.uri, read.rows) for read in reads] == [
        (f"{START}/data/train-0.jsonl", 2),
        (f"{START}/data/train-1.jsonl", 1),
    ]
    assert not any(path.endswith("support.py") for path in hub.asked)


def test_one_file_is_read_without_a_listing(hub: Hub) -> None:
    records, _, _ = read_sources(Storage(), f"{START}/data/eval.jsonl", way(hub))

    assert [(record.file, record.line, record.value) for record in records] == [("eval.jsonl", 1, {"a": 4})]
    assert not any("/tree/" in path or "/api/" in path for path in hub.asked)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (f"{START}/nothing-*.jsonl", "Nothing matches"),
        (f"{START}/nothing.jsonl", "is not there"),
        ("hf://datasets/acme/support@" + "1" * 40 + "/data/eval.jsonl", "has no revision"),
        (f"hf://datasets/acme/other@{REVISION}/a.jsonl", "is no data set on the hub"),
        ("hf://datasets/acme", "names no file of a data set"),
    ],
)
def test_what_is_not_there_is_told_with_a_way_out(hub: Hub, uri: str, said: str) -> None:
    with pytest.raises(StorageFailed, match=said) as refused:
        read_sources(Storage(), uri, way(hub))

    assert refused.value.exit_code == 15


def test_a_gated_data_set_asks_for_a_token(hub: Hub) -> None:
    hub.token = "secret"

    with pytest.raises(NotPermitted, match="is gated") as refused:
        fetch_rows(f"{START}/data/eval.jsonl", way(hub))

    assert "model.token_secret" in str(refused.value)
    assert on_hub(START)


@pytest.mark.parametrize("path", ["data/eval.jsonl", "data/*.jsonl"])
def test_a_hub_that_refuses_for_a_reason_of_its_own_is_told(hub: Hub, path: str) -> None:
    hub.status = 400

    with pytest.raises(StorageFailed, match="cannot be downloaded from the hub"):
        fetch_rows(f"{START}/{path}", way(hub))
