"""Answer-only loss with the chat templates that the families ship: none of them has generation markers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from images.train.loading import has_fixed_day, load_tokenizer
from images.train.masks import IGNORED, Encoded, encode
from images.train.rows import Chat, Example
from schemas.training_spec import ModelSource
from tests.images.train.families import BY_NAME, FAMILIES, Family, make_tokenizer, stops

SYSTEM = {"role": "system", "content": "Be brief."}
ASK = {"role": "user", "content": "Where is the red book?"}
ANSWER = {"role": "assistant", "content": "On the table."}
MORE = {"role": "user", "content": "And this one?"}
LAST = {"role": "assistant", "content": "Under the lamp."}


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    found: Family = request.param
    return found


def encoded(family: Family, tokenizer: Any, *turns: dict[str, str]) -> Encoded:
    rows, bad = encode([Example("t", 1, Chat(turns))], tokenizer, stops(family, tokenizer), answers_only=True)
    assert bad == []
    return rows[0][1]


def learnt(tokenizer: Any, row: Encoded) -> str:
    return str(tokenizer.decode([label for label in row.labels if label != IGNORED]))


def test_the_answer_and_its_end_are_learnt_and_nothing_of_the_prompt(family: Family) -> None:
    tokenizer = make_tokenizer(family)

    row = encoded(family, tokenizer, SYSTEM, ASK, ANSWER)

    said = "<think>\n\n</think>\n\nOn the table." if family.thinks else "On the table."
    assert learnt(tokenizer, row).strip() == said + family.end
    assert all(label == IGNORED for label in row.labels[: row.prompt])
    assert row.earlier == ()


def test_what_stands_before_the_answer_is_what_the_server_is_asked(family: Family) -> None:
    tokenizer = make_tokenizer(family)

    row = encoded(family, tokenizer, SYSTEM, ASK, ANSWER)

    asked = tokenizer.apply_chat_template([SYSTEM, ASK], add_generation_prompt=True, return_dict=False)
    assert list(row.input_ids[: row.prompt]) == asked
    assert "Be brief." in tokenizer.decode(asked)


def test_every_answer_of_a_long_chat_is_learnt_once_after_what_the_server_is_asked(family: Family) -> None:
    tokenizer = make_tokenizer(family)
    turns = (SYSTEM, ASK, ANSWER, MORE, LAST)

    row = encoded(family, tokenizer, *turns)

    texts = [learnt(tokenizer, one) for one in (*row.earlier, row)]
    assert [sum(text.count(said) for text in texts) for said in ("On the table.", "Under the lamp.")] == [1, 1]
    asked = [
        tokenizer.apply_chat_template(list(turns[:at]), add_generation_prompt=True, return_dict=False) for at in (2, 4)
    ]
    for prompt in asked:
        assert any(list(one.input_ids[: len(prompt)]) == prompt for one in (*row.earlier, row))


@pytest.mark.parametrize(
    ("name", "apart"), [("llama3", 0), ("gemma3", 0), ("qwen2.5", 0), ("qwen3", 1), ("mistral", 1)]
)
def test_only_a_template_that_rewrites_the_past_costs_sequences(name: str, apart: int) -> None:
    family = BY_NAME[name]

    row = encoded(family, make_tokenizer(family), SYSTEM, ASK, ANSWER, MORE, LAST)

    assert len(row.earlier) == apart


@pytest.mark.parametrize("name", ["llama3.1", "llama3.2"])
def test_the_rows_are_the_same_tokens_on_any_day(name: str, tmp_path: Path) -> None:
    family = BY_NAME[name]
    make_tokenizer(family).save_pretrained(tmp_path)

    tokenizer = load_tokenizer(tmp_path, ModelSource(base="b"))

    text = tokenizer.decode(list(encoded(family, tokenizer, SYSTEM, ASK, ANSWER).input_ids))
    assert "Today Date: 26 Jul 2024\n" in text
    assert has_fixed_day(tokenizer) == (name == "llama3.2")


def test_a_template_that_got_its_day_gets_no_second_one(tmp_path: Path) -> None:
    make_tokenizer(BY_NAME["llama3.2"]).save_pretrained(tmp_path / "base")
    load_tokenizer(tmp_path / "base", ModelSource(base="b")).save_pretrained(tmp_path / "tuned")

    once, twice = (load_tokenizer(tmp_path / name, ModelSource(base="b")) for name in ("base", "tuned"))

    assert once.chat_template == twice.chat_template
