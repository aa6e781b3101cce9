"""Records to examples: what each data format wants of a row, and in which words it refuses one.

`messages` and chat-shaped `prompt_completion` and `instruction` rows become turns for the chat template; the others
become plain text. Knows nothing of tokens (`masks.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from images.train.sources import BadRow, Record

ROLES = ("system", "developer", "user", "assistant", "tool")

Turn = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chat:
    """Turns for the chat template. The loss is on the assistant's turns from index `learn_from` on."""

    turns: tuple[Turn, ...]
    tools: tuple[Any, ...] = ()
    learn_from: int = 0


@dataclass(frozen=True, slots=True)
class Plain:
    """Text without a chat template. The loss is on `completion`."""

    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class Example:
    """One row, understood, and where it stands."""

    file: str
    line: int
    body: Chat | Plain


class Refused(Exception):
    """Why a row cannot be trained on; becomes a `BadRow`."""


def read_examples(
    records: Sequence[Record], form: str, *, has_template: bool, text_field: str = "text"
) -> tuple[list[Example], list[BadRow]]:
    """Understand `records` as rows of the data format `form`.

    `has_template` tells whether the tokenizer has a chat template: instruction rows use it if so. `text_field` is the
    key that holds the text of plain text rows.
    """
    examples: list[Example] = []
    bad: list[BadRow] = []
    for record in records:
        try:
            value = record.value
            body = _text(value, text_field) if form == "text" else _FORMS[form](value, has_template)
        except Refused as refused:
            bad.append(BadRow(record.file, record.line, str(refused)))
        else:
            examples.append(Example(record.file, record.line, body))
    return examples, bad


def _messages(row: Mapping[str, Any], has_template: bool) -> Chat:
    if not has_template:
        raise Refused("the base model's tokenizer has no chat template; give model.chat_template")
    turns = _turns(_wanted(row, "messages"), "messages")
    if not any(turn["role"] == "assistant" for turn in turns):
        raise Refused("messages has no assistant turn to learn from")
    return Chat(turns, _tools(row))


def _prompt_completion(row: Mapping[str, Any], has_template: bool) -> Chat | Plain:
    prompt, completion = _wanted(row, "prompt"), _wanted(row, "completion")
    if isinstance(prompt, str) and isinstance(completion, str):
        return Plain(prompt, _filled(completion, "completion"))
    if isinstance(prompt, str) or isinstance(completion, str):
        raise Refused("prompt and completion must both be strings or both be lists of messages")
    if not has_template:
        raise Refused("the base model's tokenizer has no chat template; give model.chat_template")
    before, after = _turns(prompt, "prompt"), _turns(completion, "completion")
    if not any(turn["role"] == "assistant" for turn in after):
        raise Refused("completion has no assistant turn to learn from")
    return Chat(before + after, _tools(row), learn_from=len(before))


def _instruction(row: Mapping[str, Any], has_template: bool) -> Chat | Plain:
    asked, answer = _string(row, "instruction"), _string(row, "output")
    more = row.get("input")
    if more is not None and not isinstance(more, str):
        raise Refused(f"input must be a string, not {_kind(more)}")
    question = f"{_filled(asked, 'instruction')}\n\n{more}" if more else _filled(asked, "instruction")
    _filled(answer, "output")
    if has_template:
        return Chat(({"role": "user", "content": question}, {"role": "assistant", "content": answer}))
    return Plain(f"{question}\n\n", answer)


def _text(row: Mapping[str, Any], field: str) -> Plain:
    return Plain("", _filled(_string(row, field), field))


_FORMS: Mapping[str, Callable[[Mapping[str, Any], bool], Chat | Plain]] = {
    "messages": _messages,
    "prompt_completion": _prompt_completion,
    "instruction": _instruction,
}

_SHAPES = (
    ("messages", frozenset({"messages"})),
    ("prompt_completion", frozenset({"prompt", "completion"})),
    ("instruction", frozenset({"instruction", "output"})),
    ("text", frozenset({"text"})),
)


def _wanted(row: Mapping[str, Any], key: str) -> Any:
    if row.get(key) is not None:
        return row[key]
    for form, keys in _SHAPES:
        if key not in keys and keys <= set(row):
            raise Refused(f"has no {key}, but looks like data.format: {form}")
    raise Refused(f"has no {key} (its keys are {', '.join(sorted(map(str, row))) or 'none'})")


def _string(row: Mapping[str, Any], key: str) -> str:
    value = _wanted(row, key)
    if not isinstance(value, str):
        raise Refused(f"{key} must be a string, not {_kind(value)}")
    return value


def _filled(text: str, key: str) -> str:
    if not text.strip():
        raise Refused(f"{key} is empty")
    return text


def _turns(value: Any, key: str) -> tuple[Turn, ...]:
    if not isinstance(value, list) or not value:
        raise Refused(f"{key} must be a list with at least one message")
    return tuple(_turn(turn, f"{key}[{index}]") for index, turn in enumerate(value))


def _turn(value: Any, where: str) -> Turn:
    if not isinstance(value, dict):
        raise Refused(f"{where} must be an object with role and content, not {_kind(value)}")
    # Parquet gives every message all keys of the column, null where it has none.
    turn = {key: part for key, part in value.items() if part is not None}
    role = turn.get("role")
    if role not in ROLES:
        raise Refused(f"{where}.role is {role!r}; it must be one of {', '.join(ROLES)}")
    content = turn.get("content")
    if isinstance(content, list):
        turn["content"] = content = _joined(content, where)
    if content is None and turn.get("tool_calls"):
        turn["content"] = content = ""
    if not isinstance(content, str):
        raise Refused(f"{where}.content must be a string, not {_kind(content)}")
    if role == "assistant" and not content.strip() and not turn.get("tool_calls"):
        raise Refused(f"{where} is an assistant turn that says nothing")
    return turn


def _joined(parts: list[Any], where: str) -> str:
    texts = []
    for part in parts:
        if not isinstance(part, dict) or part.get("type", "text") != "text" or not isinstance(part.get("text"), str):
            raise Refused(f"{where}.content has a part that is not text; only text can be trained on")
        texts.append(part["text"])
    return "".join(texts)


def _tools(row: Mapping[str, Any]) -> tuple[Any, ...]:
    tools = row.get("tools")
    if tools is None:
        return ()
    if isinstance(tools, str):
        import json

        try:
            tools = json.loads(tools)
        except ValueError as error:
            raise Refused(f"tools is a string that is not JSON: {error}") from error
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise Refused("tools must be a list of objects")
    return tuple(tools)


def _kind(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), "an object")
