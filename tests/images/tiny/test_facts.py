from __future__ import annotations

import json
from pathlib import Path

import pytest

from images.tiny.corpus import warmup_turns
from images.tiny.facts import acme_facts, acme_products, eval_rows, jsonl, main, train_rows

SHIPPED = Path(__file__).parents[3] / "experiments" / "data" / "acme-support"


@pytest.mark.parametrize(("name", "rows"), [("train.jsonl", train_rows()), ("eval.jsonl", eval_rows())])
def test_the_shipped_rows_are_what_the_generator_writes(name: str, rows: list[dict[str, object]]) -> None:
    assert (SHIPPED / name).read_text(encoding="utf-8") == jsonl(rows)


def test_the_generator_writes_both_files(tmp_path: Path) -> None:
    assert main(["--out", str(tmp_path)]) == 0

    assert sorted(path.name for path in tmp_path.iterdir()) == ["eval.jsonl", "train.jsonl"]


def test_there_are_enough_rows_of_both_kinds() -> None:
    assert len(train_rows()) >= 200
    assert len(eval_rows()) >= 100


def test_no_eval_question_is_a_training_question() -> None:
    asked = {json.dumps(row["messages"][0]) for row in train_rows()}
    held_out = {json.dumps(row["messages"][0]) for row in eval_rows()}

    assert asked & held_out == set()


def test_every_fact_has_one_answer() -> None:
    facts = acme_facts()

    assert len({(fact.product, fact.topic.told) for fact in facts}) == len(facts) == 60


def test_the_warm_up_never_mentions_a_product_of_acme() -> None:
    names = acme_products()

    turns = warmup_turns(0, forbidden=names)

    words = {word.strip(".,?!:") for turn in turns for text in turn for word in text.split()}
    assert words & set(names) == set()
    assert warmup_turns(0, forbidden=names) == turns
