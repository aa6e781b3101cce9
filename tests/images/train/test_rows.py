from __future__ import annotations

from typing import Any

import pytest

from images.train.rows import Chat, Plain, read_examples
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


@pytest.mark.parametrize(
    ("row", "form", "reason"),
    [
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
            "only text can be trained on",
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
