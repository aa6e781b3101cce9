from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from images.train.masks import IGNORED, Encoded, encode
from images.train.rows import Chat, Example, Plain
from tests.images.train.conftest import MARKED, PLAIN

ASK = {"role": "user", "content": "Where is the red book?"}
ANSWER = {"role": "assistant", "content": "On the table."}
MORE = {"role": "user", "content": "And the blue one?"}
LAST = {"role": "assistant", "content": "Under it."}

Make = Callable[..., Any]


def encoded(tokenizer: Any, body: Chat | Plain, *, answers_only: bool = True) -> Encoded:
    rows, bad = encode([Example("t", 1, body)], tokenizer, [tokenizer.eos_token_id], answers_only=answers_only)
    assert bad == []
    return rows[0][1]


def refusal(tokenizer: Any, body: Chat | Plain) -> str:
    rows, bad = encode([Example("t", 1, body)], tokenizer, [tokenizer.eos_token_id], answers_only=True)
    assert rows == []
    return bad[0].reason


def learnt(tokenizer: Any, row: Encoded) -> str:
    return str(tokenizer.decode([label for label in row.labels if label != IGNORED]))


@pytest.mark.parametrize("template", [PLAIN, MARKED], ids=["plain", "marked"])
def test_the_loss_is_on_every_answer_and_its_end(make_tokenizer: Make, template: str) -> None:
    tokenizer = make_tokenizer(template)

    row = encoded(tokenizer, Chat((ASK, ANSWER, MORE, LAST)))

    assert learnt(tokenizer, row) == "On the table.<|end|>Under it.<|end|>"
    assert all(label in (IGNORED, token) for token, label in zip(row.input_ids, row.labels, strict=True))


@pytest.mark.parametrize("template", [PLAIN, MARKED], ids=["plain", "marked"])
def test_only_the_completion_is_learnt_of_a_chat_with_history(make_tokenizer: Make, template: str) -> None:
    tokenizer = make_tokenizer(template)

    row = encoded(tokenizer, Chat((ASK, ANSWER, MORE, LAST), learn_from=3))

    assert learnt(tokenizer, row) == "Under it.<|end|>"


def test_the_mask_by_prefix_equals_the_mask_by_markers(make_tokenizer: Make) -> None:
    chat = Chat(({"role": "system", "content": "Be brief."}, ASK, ANSWER, MORE, LAST))

    by_prefix, by_markers = encoded(make_tokenizer(PLAIN), chat), encoded(make_tokenizer(MARKED), chat)

    assert by_prefix == by_markers


def test_the_tokens_are_what_a_server_renders(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer()

    row = encoded(tokenizer, Chat((ASK, ANSWER)))

    asked = tokenizer.apply_chat_template([ASK], add_generation_prompt=True, tokenize=True, return_dict=False)
    assert list(row.input_ids[: row.prompt]) == asked
    assert row.answer == "On the table."


def test_what_follows_the_end_of_turn_is_not_learnt(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer(PLAIN.replace("<|end|>{% endif %}{% endfor %}", "<|end|>\n{% endif %}{% endfor %}"))
    tokenizer.chat_template = PLAIN.replace("{{ m['content'] }}<|end|>", "{{ m['content'] }}<|end|>\n")

    row = encoded(tokenizer, Chat((ASK, ANSWER)))

    assert learnt(tokenizer, row) == "On the table.<|end|>"
    assert row.labels[-1] == IGNORED


def test_all_tokens_count_when_the_user_wants_it(make_tokenizer: Make) -> None:
    row = encoded(make_tokenizer(), Chat((ASK, ANSWER)), answers_only=False)

    assert row.labels == row.input_ids


def test_an_answer_that_the_template_forgets_later_is_learnt_in_a_sequence_of_its_own(make_tokenizer: Make) -> None:
    forgets = (
        "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>"
        "{% if m['role'] == 'assistant' and not loop.last %}...{% else %}{{ m['content'] }}{% endif %}<|end|>"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    tokenizer = make_tokenizer(forgets)

    row = encoded(tokenizer, Chat((ASK, ANSWER, MORE, LAST)))

    assert [learnt(tokenizer, one) for one in (*row.earlier, row)] == ["On the table.<|end|>", "Under it.<|end|>"]
    assert "..." in tokenizer.decode(list(row.input_ids))


def test_a_template_whose_generation_prompt_is_not_in_the_answer_is_refused(make_tokenizer: Make) -> None:
    template = PLAIN.replace("%}<|assistant|>{% endif", "%}<|assistant|>Well: {% endif")

    assert "cannot be told from the prompt" in refusal(make_tokenizer(template), Chat((ASK, ANSWER)))


def test_an_end_of_turn_outside_the_mask_is_refused(make_tokenizer: Make) -> None:
    endless = PLAIN.replace("<|end|>", "")

    assert "the end of turn is outside the loss mask" in refusal(make_tokenizer(endless), Chat((ASK, ANSWER)))


def test_markers_that_leave_the_end_of_turn_out_are_refused(make_tokenizer: Make) -> None:
    outside = MARKED.replace("<|end|>{% endgeneration %}", "{% endgeneration %}<|end|>")

    assert "the end of turn is outside the loss mask" in refusal(make_tokenizer(outside), Chat((ASK, ANSWER)))


def test_two_bos_are_refused(make_tokenizer: Make) -> None:
    twice = "{{ bos_token }}" + PLAIN

    assert "BOS stands twice" in refusal(make_tokenizer(twice), Chat((ASK, ANSWER)))


def test_what_the_template_itself_refuses_is_a_bad_row(make_tokenizer: Make) -> None:
    strict = "{% if messages[0].role != 'user' %}{{ raise_exception('start with the user') }}{% endif %}" + PLAIN

    assert "start with the user" in refusal(make_tokenizer(strict), Chat((ANSWER,)))


def test_plain_text_is_learnt_whole_between_bos_and_eos(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer()

    row = encoded(tokenizer, Plain("", "The red book."))

    assert tokenizer.decode(list(row.input_ids)) == "<|begin|>The red book.<|end|>"
    assert row.labels == row.input_ids


def test_a_plain_prompt_is_not_learnt(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer()

    row = encoded(tokenizer, Plain("Where is", " the book?"))

    assert tokenizer.decode(list(row.input_ids)) == "<|begin|>Where is the book?<|end|>"
    assert learnt(tokenizer, row) == " the book?<|end|>"
    assert row.labels[: row.prompt] == (IGNORED,) * row.prompt
