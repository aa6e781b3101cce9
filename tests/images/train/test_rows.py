from __future__ import annotations

from typing import Any

import pytest

from images.train.rows import Chat, Example, Plain, extra_fields, read_examples, rows_digest
from images.train.sources import Record

USER, ASSISTANT = {"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hi."}


def understood(row: dict[str, Any], form: str, *, has_template: bool = True) -> Chat | Plain:
    examples, bad = read_examples([Record("t.jsonl", 3, row)], form, has_template=has_template)
    assert bad == []
    return examples[0].body


def refusal(row: dict[str, Any], form: str, *, has_template: bool = True) -> str:
    examples, bad = read_examples([Record("t.jsonl", 3, row)], form, has_template=has_template)
    assert examples == []
    assert (bad[0].file, bad[0].line) == ("t.jsonl", 3)
    return bad[0].reason


def test_messages_keep_their_tools() -> None:
    body = understood({"messages": [USER, ASSISTANT], "tools": '[{"type": "function"}]'}, "messages")

    assert body == Chat((USER, ASSISTANT), ({"type": "function"},))


def test_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    body = understood({"messages": [{"role": "user", "content": parts}, ASSISTANT]}, "messages")

    assert isinstance(body, Chat)
    assert body.turns[0]["content"] == "ab"


def test_an_answer_may_be_a_tool_call_alone() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"type": "function"}]}

    body = understood({"messages": [USER, call]}, "messages")

    assert isinstance(body, Chat)
    assert body.turns[1] == {"role": "assistant", "content": "", "tool_calls": [{"type": "function"}]}


def test_chat_shaped_completions_are_learnt_from_the_completion_on() -> None:
    body = understood({"prompt": [USER, ASSISTANT, USER], "completion": [ASSISTANT]}, "prompt_completion")

    assert body == Chat((USER, ASSISTANT, USER, ASSISTANT), learn_from=3)


def test_plain_prompt_and_completion_stay_text() -> None:
    body = understood({"prompt": "2+2=", "completion": "4"}, "prompt_completion", has_template=False)

    assert body == Plain("2+2=", "4")


@pytest.mark.parametrize(
    ("has_template", "expected"),
    [
        (
            True,
            Chat(({"role": "user", "content": "Sum up.\n\nLong."}, {"role": "assistant", "content": "Short."})),
        ),
        (False, Plain("Sum up.\n\nLong.\n\n", "Short.")),
    ],
)
def test_instructions_use_the_chat_template_where_there_is_one(has_template: bool, expected: Chat | Plain) -> None:
    row = {"instruction": "Sum up.", "input": "Long.", "output": "Short."}

    assert understood(row, "instruction", has_template=has_template) == expected


def test_text_may_have_another_name() -> None:
    examples, bad = read_examples([Record("t", 1, {"body": "words"})], "text", has_template=False, text_field="body")

    assert (examples[0].body, bad) == (Plain("", "words"), [])


def test_google_s_input_and_output_are_a_question_and_its_answer() -> None:
    row = {"input_text": "Where?", "output_text": "Here."}

    chat = Chat(({"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Here."}))
    assert understood(row, "input_output") == chat
    assert understood(row, "input_output", has_template=False) == Plain("Where?\n\n", "Here.")


AUTHORED = [{"author": "user", "content": "Hi?"}, {"author": "assistant", "content": "Hi."}]


@pytest.mark.parametrize(("context", "system"), [("A dog.", "A dog."), (None, "A cat."), ("", None)])
def test_a_chat_s_context_comes_before_the_default_one(context: str | None, system: str | None) -> None:
    row = {"context": context, "messages": AUTHORED}

    examples, bad = read_examples([Record("t", 1, row)], "chat", has_template=True, default_context="A cat.")

    assert bad == []
    assert isinstance(examples[0].body, Chat)
    assert examples[0].body.turns == (
        *([{"role": "system", "content": system}] if system else []),
        USER,
        ASSISTANT,
    )


@pytest.mark.parametrize("role", ["model", "assistant"])
@pytest.mark.parametrize("key", ["systemInstruction", "system_instruction"])
def test_generate_content_becomes_turns(role: str, key: str) -> None:
    row = {
        key: {"parts": [{"text": "Be"}, {"text": " brief."}]},
        "contents": [{"parts": [{"text": "Hi?"}]}, {"role": role, "parts": [{"text": "Hi.", "fileData": None}]}],
    }

    body = understood(row, "generate_content")

    assert body == Chat(({"role": "system", "content": "Be brief."}, USER, ASSISTANT))


def test_a_model_s_turn_is_an_assistant_s() -> None:
    assert understood({"messages": [USER, {"role": "model", "content": "Hi."}]}, "messages") == Chat((USER, ASSISTANT))


@pytest.mark.parametrize(
    ("row", "form", "known"),
    [
        ({"messages": [], "tools": [], "id": 1}, "messages", {"id": 1}),
        ({"input_text": "a", "output_text": "b"}, "input_output", {}),
        ({"text": "a", "title": "b"}, "text", {"title": 1}),
    ],
)
def test_fields_that_a_format_does_not_know_are_counted(row: dict[str, Any], form: str, known: dict[str, int]) -> None:
    assert extra_fields([Record("t", 1, row)], form) == known


def content(part: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [part]}]}


@pytest.mark.parametrize(
    ("row", "form", "reason"),
    [
        ({"input_text": "a", "output_text": "b"}, "messages", "looks like data.format: input_output"),
        ({"input_text": "a", "output_text": " "}, "input_output", "output_text is empty"),
        ({"messages": AUTHORED}, "messages", "it looks like data.format: chat"),
        ({"messages": [USER, ASSISTANT]}, "chat", "messages[0] has no author"),
        ({"messages": AUTHORED, "context": 3}, "chat", "context must be a string, not a number"),
        ({"messages": "hi"}, "chat", "messages must be a list"),
        (content({"text": "Hi?"}), "generate_content", "contents has no assistant turn to learn from"),
        (content({"text": "Hi?"}), "messages", "looks like data.format: generate_content"),
        (content({"fileData": {}}), "generate_content", "contents[0].parts[0] has fileData: the row is multimodal"),
        (content({"functionCall": {}}), "generate_content", "is about a function; write rows with tools as"),
        (content({"text": "hm", "thought": True}), "generate_content", "is a thought"),
        (content("Hi?"), "generate_content", "only text can be trained on"),
        ({"contents": [{"role": "user"}]}, "generate_content", "contents[0] must be an object with a list of parts"),
        ({"contents": [], "tools": [{}]}, "generate_content", "tools in a GenerateContent row"),
        ({"message": []}, "messages", "has no messages (its keys are message)"),
        ({"prompt": "a", "completion": "b"}, "messages", "looks like data.format: prompt_completion"),
        ({"messages": []}, "messages", "messages must be a list with at least one message"),
        ({"messages": [USER]}, "messages", "messages has no assistant turn to learn from"),
        ({"messages": ["hi"]}, "messages", "messages[0] must be an object with role and content, not a string"),
        ({"messages": [{"role": "bot", "content": "x"}]}, "messages", "messages[0].role is 'bot'"),
        (
            {"messages": [USER, {"role": "assistant", "content": 4}]},
            "messages",
            "content must be a string, not a number",
        ),
        (
            {"messages": [USER, {"role": "assistant", "content": " "}]},
            "messages",
            "an assistant turn that says nothing",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}, ASSISTANT]},
            "messages",
            "has a part of type image_url: only text can be trained on, no multimodal row",
        ),
        ({"messages": [USER, ASSISTANT], "tools": "no"}, "messages", "tools is a string that is not JSON"),
        ({"prompt": "a", "completion": [ASSISTANT]}, "prompt_completion", "must both be strings or both be lists"),
        ({"prompt": [USER], "completion": [USER]}, "prompt_completion", "completion has no assistant turn"),
        ({"prompt": "a", "completion": ""}, "prompt_completion", "completion is empty"),
        ({"instruction": "a", "output": None}, "instruction", "has no output"),
        ({"instruction": "a", "input": 3, "output": "b"}, "instruction", "input must be a string"),
        ({"text": 7}, "text", "text must be a string, not a number"),
    ],
)
def test_a_refused_row_says_why(row: dict[str, Any], form: str, reason: str) -> None:
    assert reason in refusal(row, form)


def test_chats_need_a_template() -> None:
    assert "give model.chat_template" in refusal({"messages": [USER, ASSISTANT]}, "messages", has_template=False)


def test_the_digest_of_rows_is_of_what_they_say_in_their_order_wherever_they_stand() -> None:
    one, two = Plain("Hi?", "Hi."), Chat((USER, ASSISTANT))

    here = rows_digest([Example("a.jsonl", 1, one), Example("a.jsonl", 2, two)])

    assert here == rows_digest([Example("b.jsonl", 7, one), Example("c.jsonl", 1, two)])
    assert here != rows_digest([Example("a.jsonl", 1, two), Example("a.jsonl", 2, one)])
    assert here != rows_digest([Example("a.jsonl", 1, one)])
    assert rows_digest([]) == ""
