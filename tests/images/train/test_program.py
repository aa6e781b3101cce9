"""The program as a job starts it: exit codes and last lines of what ends before the model is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from images.train.lock import this_process
from tests.images.train.conftest import IDENTITY

pytestmark = pytest.mark.slow

Write = Callable[..., Path]


def trained(spec: dict[str, Any] | str, *more: str) -> tuple[int, list[str]]:
    text = spec if isinstance(spec, str) else json.dumps(spec)
    words = [sys.executable, "-m", "images.train", "--spec", text, *more]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


def a_spec(tmp_path: Path, train: Path, **more: Any) -> dict[str, Any]:
    return {
        "fleet": "acme",
        "experiment": "support",
        "identity": IDENTITY,
        "model": {"base": str(tmp_path / "base")},
        "data": {"train": str(train)},
        "output": {"record": str(tmp_path / "r.json"), "lock": str(tmp_path / "r.lock")},
        **more,
    }


def test_a_spec_that_is_none_names_the_field() -> None:
    code, lines = trained('{"fleet": "acme"}')

    assert code == 2
    assert lines[-1].startswith("error: experiment: Field required.")


def test_an_unknown_metric_ends_the_run_at_once(tmp_path: Path, write_rows: Write) -> None:
    code, lines = trained(a_spec(tmp_path, write_rows([{}]), metrics=["brilliance"]))

    assert code == 2
    assert "'brilliance' is not known" in lines[-1]


def test_a_run_that_is_recorded_already_is_done_at_once(tmp_path: Path, write_rows: Write) -> None:
    record = {
        "fleet": "acme",
        "experiment": "support",
        "identity": IDENTITY,
        "attempt": 1,
        "method": "lora",
        "artifact_uri": "gs://b/earlier",
        "artifact_digest": "d",
        "base": "b",
        "counts": {"train_rows": 1},
    }
    (tmp_path / "r.json").write_text(json.dumps(record))

    code, lines = trained(a_spec(tmp_path, tmp_path / "absent.jsonl"))

    done = json.loads(lines[-1].removeprefix("LORAFORM "))
    assert code == 0
    assert (done["event"], done["reused"], done["artifact_uri"]) == ("done", True, "gs://b/earlier")


def test_a_second_run_of_the_same_identity_is_a_duplicate(tmp_path: Path, write_rows: Write) -> None:
    (tmp_path / "r.lock").write_bytes(this_process("projects/1/customJobs/7", 1).to_json())

    code, lines = trained(a_spec(tmp_path, write_rows([{}])))

    assert code == 14
    assert lines[-1].startswith("error: duplicate: projects/1/customJobs/7 is training this identity")


def test_missing_rows_are_told_and_the_lock_is_released(tmp_path: Path) -> None:
    code, lines = trained(a_spec(tmp_path, tmp_path / "absent.jsonl"))

    assert code == 15
    assert lines[-1] == f"error: {tmp_path}/absent.jsonl is not there. Check data.train and data.eval."
    assert not (tmp_path / "r.lock").exists()


def test_a_missing_base_is_told(tmp_path: Path, write_rows: Write) -> None:
    code, lines = trained(a_spec(tmp_path, write_rows([{}])))

    assert code == 11
    assert "is not a model folder" in lines[-1]


def test_a_bad_row_is_told_by_file_and_line_before_the_model_is_loaded(
    tmp_path: Path, write_rows: Write, make_tokenizer: Callable[..., Any]
) -> None:
    make_tokenizer().save_pretrained(tmp_path / "base")  # There are no weights: loading them would end otherwise.

    code, lines = trained(a_spec(tmp_path, write_rows([{"messages": []}, {"text": "x"}])))

    events = [json.loads(line.removeprefix("LORAFORM ")) for line in lines if line.startswith("LORAFORM ")]
    assert code == 10
    assert [(e["file"], e["line"]) for e in events if e["event"] == "bad_row"] == [
        ("train.jsonl", 1),
        ("train.jsonl", 2),
    ]
    assert lines[-1].startswith("error: 2 bad rows: train.jsonl:1: messages must be a list")


def test_the_spec_may_lie_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    file.write_text("{}")
    words = [sys.executable, "-m", "images.train", "--spec-file", str(file)]

    done = subprocess.run(words, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert "error: fleet: Field required." in done.stdout
