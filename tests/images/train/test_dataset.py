from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from images.train.dataset import SHOWN, Rows, prepare, read_files, sample
from images.train.failures import DataInvalid
from images.train.progress import Progress
from images.train.settings import Reading
from images.train.storage import Storage
from schemas.training_spec import DataSource

Heard = tuple[Progress, Callable[[], list[dict[str, Any]]]]
Write = Callable[..., Path]

ALL = Reading(answers_only=True, max_length=64, cut=False)


def chat(question: str = "Where?", answer: str = "Here.") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def prepared(tokenizer: Any, progress: Progress, train: Path, held: Path | None = None, how: Reading = ALL) -> Rows:
    raw = read_files(Storage(), DataSource(train=str(train), eval=str(held) if held else None))
    return prepare(raw, "messages", tokenizer, [tokenizer.eos_token_id], how, progress)


def test_all_bad_rows_of_both_files_are_told_at_once(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    train = write_rows([chat(), "{", {"text": "x"}])
    held = write_rows([chat(), {"messages": []}], "eval.jsonl")

    with pytest.raises(DataInvalid) as refused:
        prepared(make_tokenizer(), heard[0], train, held)

    assert refused.value.exit_code == 10
    assert str(refused.value).startswith("3 bad rows: eval.jsonl:2: messages must be a list")
    assert [(e["file"], e["line"]) for e in heard[1]() if e["event"] == "bad_row"] == [
        ("eval.jsonl", 2),
        ("train.jsonl", 2),
        ("train.jsonl", 3),
    ]


def test_the_list_of_bad_rows_is_bounded(make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write) -> None:
    train = write_rows(["{"] * 1000)

    with pytest.raises(DataInvalid, match="1000 bad rows"):
        prepared(make_tokenizer(), heard[0], train)

    assert len(heard[1]()) == SHOWN


def test_a_row_that_is_too_long_is_never_cut_silently(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    train = write_rows([chat(), chat("Where? " * 40)])

    with pytest.raises(DataInvalid, match=r"train\.jsonl:2: \d+ tokens are more than training\.max_length \(64\)"):
        prepared(make_tokenizer(), heard[0], train)


def test_rows_are_cut_when_the_manifest_says_how(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    train = write_rows([chat(), chat("Where?", "Here. " * 40)])

    rows = prepared(make_tokenizer(), heard[0], train, how=Reading(answers_only=True, max_length=64, cut=True))

    assert rows.longest == 64
    assert heard[1]()[-1]["text"] == "1 rows are cut to 64 tokens, as training.truncation_mode asks"


def test_no_bound_takes_every_length(make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write) -> None:
    train = write_rows([chat("Where? " * 40)])

    rows = prepared(make_tokenizer(), heard[0], train, how=Reading(answers_only=True, max_length=None, cut=False))

    assert rows.longest > 64
    assert rows.tokens == rows.longest


def test_the_sample_shows_what_counts(make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write) -> None:
    tokenizer = make_tokenizer()

    rows = prepared(tokenizer, heard[0], write_rows([chat()]))

    assert sample(rows.train[0], tokenizer) == {
        "text": "<|begin|><|user|>Where?<|end|><|assistant|>Here.<|end|>",
        "learnt": "Here.<|end|>",
    }
