from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from images.train.dataset import SHOWN, Rows, prepare, read_files, sample
from images.train.failures import DataInvalid, SpecInvalid
from images.train.progress import Progress
from images.train.settings import Reading
from images.train.storage import Storage
from schemas.training_spec import DataSource

Heard = tuple[Progress, Callable[[], list[dict[str, Any]]]]
Write = Callable[..., Path]

ALL = Reading(answers_only=True, max_length=64)


def chat(question: str = "Where?", answer: str = "Here.") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def prepared(
    tokenizer: Any, progress: Progress, train: Path, held: Path | None = None, how: Reading = ALL, **keys: Any
) -> Rows:
    data = DataSource(train=str(train), eval=str(held) if held else None, **keys)
    return prepare(read_files(Storage(), data), data, tokenizer, [tokenizer.eos_token_id], how, progress)


def notes(heard: Heard) -> list[str]:
    return [event["text"] for event in heard[1]() if event["event"] == "note"]


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


SQL = "{% block user %}{{ schema }} {{ question }}{% endblock %}{% block assistant %}{{ sql }}{% endblock %}"


def test_a_template_makes_rows_of_records_with_any_fields(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    record = {"schema": "t(a)", "question": "Where?", "sql": "SELECT a", "id": 7}
    train = write_rows([record, chat(), {"schema": "t"}])
    tokenizer = make_tokenizer()

    rows = prepared(tokenizer, heard[0], train, template=SQL, on_bad_row="skip")

    assert sample(rows.train[0], tokenizer)["learnt"].startswith("SELECT a")
    assert "t(a) Where?" in sample(rows.train[0], tokenizer)["text"]
    assert [event["reason"] for event in heard[1]() if event["event"] == "bad_row"] == [
        "'schema' is undefined, in the template's block user",
        "'question' is undefined, in the template's block user",
    ]


def test_a_template_of_two_plain_texts_needs_no_chat_template(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    plain = "{% block prompt %}{{ q }} = {% endblock %}{% block completion %}{{ a }}{% endblock %}"
    tokenizer = make_tokenizer(None)

    rows = prepared(tokenizer, heard[0], write_rows([{"q": "1+1", "a": 2}]), template=plain)

    assert "1+1 = 2" in sample(rows.train[0], tokenizer)["text"]
    assert rows.train[0].answer == "2"


def test_a_template_that_cannot_be_read_is_told_before_any_row(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    with pytest.raises(SpecInvalid, match="template cannot be read: its blocks must be"):
        prepared(make_tokenizer(), heard[0], write_rows([chat()]), template="nothing")


def test_a_fraction_of_the_rows_is_held_back_the_same_ones_each_time_and_equal_ones_on_one_side(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    tokenizer = make_tokenizer()
    questions = [f"Where is {number}?" for number in range(200)]
    once = write_rows([chat(text) for text in questions])
    more = write_rows([chat(text) for text in [*questions, *questions, "And this?"]], "more.jsonl")

    first = prepared(tokenizer, heard[0], once, eval_fraction=0.2)
    again = prepared(tokenizer, heard[0], more, eval_fraction=0.2)
    other = prepared(tokenizer, heard[0], once, eval_fraction=0.2, eval_seed=1)

    assert len(first.train) + len(first.eval) == 200
    assert 20 <= len(first.eval) <= 60
    assert set(first.eval) <= set(again.eval)
    assert not set(again.eval) & set(again.train)
    assert set(other.eval) != set(first.eval)
    assert f"{len(first.eval)} of 200 rows are held back" in notes(heard)[0]


def test_a_fraction_that_holds_nothing_back_is_refused(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    with pytest.raises(DataInvalid, match="holds none of the 1 rows back"):
        prepared(make_tokenizer(), heard[0], write_rows([chat()]), eval_fraction=0.001)


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

    rows = prepared(make_tokenizer(), heard[0], train, how=Reading(answers_only=True, max_length=64, long="truncate"))

    assert rows.longest == 64
    assert heard[1]()[-1]["text"] == "1 rows are cut to 64 tokens, as training.truncation_mode asks"


def test_no_bound_takes_every_length(make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write) -> None:
    train = write_rows([chat("Where? " * 40)])

    rows = prepared(make_tokenizer(), heard[0], train, how=Reading(answers_only=True, max_length=None))

    assert rows.longest > 64
    assert rows.tokens == rows.longest


def test_the_sample_shows_what_counts(make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write) -> None:
    tokenizer = make_tokenizer()

    rows = prepared(tokenizer, heard[0], write_rows([chat()]))

    assert sample(rows.train[0], tokenizer) == {
        "text": "<|begin|><|user|>Where?<|end|><|assistant|>Here.<|end|>",
        "learnt": "Here.<|end|>",
    }


def test_bad_rows_are_skipped_and_told_when_the_manifest_says_so(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    train = write_rows([chat(), "{", chat("Who?")])

    rows = prepared(make_tokenizer(), heard[0], train, on_bad_row="skip")

    assert (len(rows.train), rows.left_out) == (2, {"bad": 1})
    assert [(e["file"], e["line"]) for e in heard[1]() if e["event"] == "bad_row"] == [("train.jsonl", 2)]
    assert notes(heard) == ["1 bad rows are skipped, as data.on_bad_row asks"]


def test_too_many_bad_rows_are_not_skipped(make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write) -> None:
    train = write_rows([chat(), "{", "{"])

    with pytest.raises(DataInvalid, match=r"2 bad rows: .* At most 1 may be skipped. .* raise data\.max_bad_rows"):
        prepared(make_tokenizer(), heard[0], train, on_bad_row="skip", max_bad_rows=1)


def test_nothing_is_trained_when_every_row_was_skipped(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    with pytest.raises(DataInvalid, match="No training row is left"):
        prepared(make_tokenizer(), heard[0], write_rows(["{"]), on_bad_row="skip")


def test_long_rows_are_dropped_and_told_when_the_manifest_says_so(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    train = write_rows([chat(), chat("Where? " * 40)])

    rows = prepared(make_tokenizer(), heard[0], train, how=Reading(answers_only=True, max_length=64, long="drop"))

    assert (len(rows.train), rows.left_out) == (1, {"long": 1})
    (told,) = [event for event in heard[1]() if event["event"] == "bad_row"]
    assert told["line"] == 2
    assert told["reason"].endswith("tokens are more than training.max_length (64)")


def test_a_cut_row_without_an_answer_is_left_out(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    train = write_rows([chat(), chat("Where? " * 40)])

    rows = prepared(make_tokenizer(), heard[0], train, how=Reading(answers_only=True, max_length=64, long="truncate"))

    assert (len(rows.train), rows.left_out) == (1, {"cut": 1})


def test_the_end_is_kept_where_trl_s_key_says_so(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    how = Reading(answers_only=True, max_length=8, long="truncate", keep_end=True)
    tokenizer = make_tokenizer()

    rows = prepared(tokenizer, heard[0], write_rows([chat("Where? " * 40)]), how=how)

    assert sample(rows.train[0], tokenizer)["learnt"] == "Here.<|end|>"


def test_a_row_is_learnt_once_and_repetitions_are_counted(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    train = write_rows([chat(), chat("Who?"), chat()])

    rows = prepared(make_tokenizer(), heard[0], train, deduplicate=True)

    assert (len(rows.train), rows.left_out) == (2, {"duplicate": 1})


def test_the_same_rows_are_drawn_with_the_same_seed(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    train = write_rows([chat(f"Number {number}?") for number in range(20)])
    tokenizer = make_tokenizer()

    def draw(seed: int) -> tuple[Any, ...]:
        return prepared(tokenizer, heard[0], train, how=Reading(True, 64, seed=seed), max_rows=5).train

    assert len(draw(1)) == 5
    assert draw(1) == draw(1) != draw(2)


@pytest.mark.parametrize(("weight", "count"), [(1.0, 4), (2.0, 8), (0.5, 2), (2.25, 9)])
def test_mixed_rows_are_learnt_as_often_as_their_weight_says(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write, weight: float, count: int
) -> None:
    train = write_rows([chat()])
    mixed = write_rows([chat(f"Number {number}?") for number in range(4)], "more.jsonl")

    rows = prepared(make_tokenizer(), heard[0], train, mix=({"rows": str(mixed), "weight": weight},))

    assert len(rows.train) == 1 + count
    assert notes(heard) == [f"5 training rows by the weights of data.mix are {1 + count} in an epoch"]


def test_a_bad_row_of_a_mixed_file_is_told(make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write) -> None:
    mixed = write_rows(["{"], "more.jsonl")

    with pytest.raises(DataInvalid, match=r"1 bad rows: more\.jsonl:1"):
        prepared(make_tokenizer(), heard[0], write_rows([chat()]), mix=({"rows": str(mixed)},))


def test_eval_rows_that_were_learnt_are_told(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    train = write_rows([chat("Who?"), chat()])
    held = write_rows([chat("When?"), chat()], "eval.jsonl")

    prepared(make_tokenizer(), heard[0], train, held)

    assert notes(heard)[0].startswith(
        "1 of 2 eval rows stand in the training rows too (the first: eval.jsonl:2 is train.jsonl:2)"
    )


def test_fields_that_are_not_learnt_get_one_line(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    train = write_rows([{**chat(), "id": 1}, {**chat(), "id": 2, "source": "web"}])

    prepared(make_tokenizer(), heard[0], train)

    assert notes(heard) == [
        "fields that rows of format messages do not have are not learnt: id (2 rows), source (1 rows)"
    ]


def test_answers_that_a_template_rewrites_later_are_sequences_of_their_own_in_training_alone(
    make_tokenizer: Callable[..., Any], heard: Heard, write_rows: Write
) -> None:
    template = (
        "{% for m in messages %}<|{{ m['role'] }}|>"
        "{{ m['content'] if loop.last or m['role'] == 'user' else '' }}<|end|>"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    turns = [*chat("Where?", "Here.")["messages"], *chat("When?", "Now.")["messages"]]
    file, held = write_rows([{"messages": turns}]), write_rows([{"messages": turns}], "eval.jsonl")
    tokenizer = make_tokenizer(template)

    rows = prepared(tokenizer, heard[0], file, held)

    assert [sample(row, tokenizer)["learnt"] for row in rows.train] == ["Here.<|end|>", "Now.<|end|>"]
    assert [sample(row, tokenizer)["learnt"] for row in rows.eval] == ["Now.<|end|>"]
    assert any("1 of them are learnt in sequences of their own, 2 of 1 rows" in note for note in notes(heard))
