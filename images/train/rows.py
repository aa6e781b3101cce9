"""Records to examples: what each data format wants of a row, and in which words it refuses one.

Chats, and question and answer where the base has a chat template, become turns for it; the others become plain text.
Knows nothing of tokens (`masks.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from images.common.row_template import BadRecord, RowTemplate
from images.train.google_rows import authored_turns, content_turns
from images.train.sources import BadRow, Record, Refused, kind

ROLES = ("system", "developer", "user", "assistant", "tool")
_NO_TEMPLATE = "the base model's tokenizer has no chat template; give model.chat_template"

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
    """One row, understood, where it stands, and how often it is learnt from in an epoch."""

    file: str
    line: int
    body: Chat | Plain
    weight: float = 1.0


def read_examples(
    records: Sequence[Record],
    form: str,
    *,
    has_template: bool,
    text_field: str = "text",
    default_context: str | None = None,
    template: RowTemplate | None = None,
) -> tuple[list[Example], list[BadRow]]:
    """Understand `records` as rows of the data format `form`.

    `has_template` tells whether the tokenizer has a chat template: instruction rows use it if so. `text_field` is the
    key that holds the text of plain text rows; `default_context` is the system turn of chats without a context.
    A `template` makes rows of the records, in place of `form`.
    """
    if template is not None:
        form = "messages" if template.chat else "prompt_completion"
    examples: list[Example] = []
    bad: list[BadRow] = []
    for record in records:
        try:
            value = record.value if template is None else template.row(record.value)
            if form == "chat" and default_context is not None and value.get("context") is None:
                value = {**value, "context": default_context}
            body = _text(value, text_field) if form == "text" else _FORMS[form](value, has_template)
        except (Refused, BadRecord) as refused:
            bad.append(BadRow(record.file, record.line, str(refused)))
        else:
            examples.append(Example(record.file, record.line, body, record.weight))
    return examples, bad


def rows_digest(examples: Iterable[Example]) -> str:
    """sha256 over what the rows say, in their order, wherever they stand; empty for no rows."""
    digest, count = hashlib.sha256(), 0
    for example in examples:
        line = json.dumps(asdict(example.body), sort_keys=True, ensure_ascii=False, default=str)
        digest.update(line.encode("utf-8", "surrogatepass") + b"\n")
        count += 1
    return digest.hexdigest() if count else ""


def extra_fields(records: Sequence[Record], form: str, text_field: str = "text") -> dict[str, int]:
    """How many records have fields that rows of `form` do not know, by field."""
    known = {text_field} if form == "text" else _KEYS[form]
    return dict(Counter(str(key) for record in records for key in record.value if key not in known))


def _messages(row: Mapping[str, Any], has_template: bool) -> Chat:
    return _chat(_wanted(row, "messages"), "messages", has_template, _tools(row))


def _authored(row: Mapping[str, Any], has_template: bool) -> Chat:
    return _chat(authored_turns(row, _wanted(row, "messages")), "messages", has_template)


def _generate_content(row: Mapping[str, Any], has_template: bool) -> Chat:
    return _chat(content_turns(row, _wanted(row, "contents")), "contents", has_template)


def _chat(turns: Any, key: str, has_template: bool, tools: tuple[Any, ...] = ()) -> Chat:
    if not has_template:
        raise Refused(_NO_TEMPLATE)
    found = _turns(turns, key)
    if not any(turn["role"] == "assistant" for turn in found):
        raise Refused(f"{key} has no assistant turn to learn from")
    return Chat(found, tools)


def _prompt_completion(row: Mapping[str, Any], has_template: bool) -> Chat | Plain:
    prompt, completion = _wanted(row, "prompt"), _wanted(row, "completion")
    if isinstance(prompt, str) and isinstance(completion, str):
        return Plain(prompt, _filled(completion, "completion"))
    if isinstance(prompt, str) or isinstance(completion, str):
        raise Refused("prompt and completion must both be strings or both be lists of messages")
    if not has_template:
        raise Refused(_NO_TEMPLATE)
    before, after = _turns(prompt, "prompt"), _turns(completion, "completion")
    if not any(turn["role"] == "assistant" for turn in after):
        raise Refused("completion has no assistant turn to learn from")
    return Chat(before + after, _tools(row), learn_from=len(before))


def _instruction(row: Mapping[str, Any], has_template: bool) -> Chat | Plain:
    asked, answer = _string(row, "instruction"), _string(row, "output")
    more = row.get("input")
    if more is not None and not isinstance(more, str):
        raise Refused(f"input must be a string, not {kind(more)}")
    question = f"{_filled(asked, 'instruction')}\n\n{more}" if more else _filled(asked, "instruction")
    return _asked(question, _filled(answer, "output"), has_template)


def _input_output(row: Mapping[str, Any], has_template: bool) -> Chat | Plain:
    question = _filled(_string(row, "input_text"), "input_text")
    return _asked(question, _filled(_string(row, "output_text"), "output_text"), has_template)


def _asked(question: str, answer: str, has_template: bool) -> Chat | Plain:
    if has_template:
        return Chat(({"role": "user", "content": question}, {"role": "assistant", "content": answer}))
    return Plain(f"{question}\n\n", answer)


def _text(row: Mapping[str, Any], field: str) -> Plain:
    return Plain("", _filled(_string(row, field), field))


_FORMS: Mapping[str, Callable[[Mapping[str, Any], bool], Chat | Plain]] = {
    "messages": _messages,
    "prompt_completion": _prompt_completion,
    "instruction": _instruction,
    "input_output": _input_output,
    "chat": _authored,
    "generate_content": _generate_content,
}

_KEYS: Mapping[str, frozenset[str]] = {
    "messages": frozenset({"messages", "tools"}),
    "prompt_completion": frozenset({"prompt", "completion", "tools"}),
    "instruction": frozenset({"instruction", "input", "output"}),
    "input_output": frozenset({"input_text", "output_text"}),
    "chat": frozenset({"context", "messages"}),
    "generate_content": frozenset({"systemInstruction", "system_instruction", "contents", "tools"}),
}

_SHAPES = (
    ("messages", frozenset({"messages"})),
    ("prompt_completion", frozenset({"prompt", "completion"})),
    ("instruction", frozenset({"instruction", "output"})),
    ("input_output", frozenset({"input_text", "output_text"})),
    ("generate_content", frozenset({"contents"})),
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
        raise Refused(f"{key} must be a string, not {kind(value)}")
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
        raise Refused(f"{where} must be an object with role and content, not {kind(value)}")
    # Parquet gives every message all keys of the column, null where it has none.
    turn = {key: part for key, part in value.items() if part is not None}
    role = turn.get("role")
    if role == "model":  # Google's word for it.
        turn["role"] = role = "assistant"
    if role is None and "author" in turn:
        raise Refused(f"{where} has an author and no role: it looks like data.format: chat")
    if role not in ROLES:
        raise Refused(f"{where}.role is {role!r}; it must be one of {', '.join(ROLES)}")
    content = turn.get("content")
    if isinstance(content, list):
        turn["content"] = content = _joined(content, where)
    if content is None and turn.get("tool_calls"):
        turn["content"] = content = ""
    if not isinstance(content, str):
        raise Refused(f"{where}.content must be a string, not {kind(content)}")
    if role == "assistant" and not content.strip() and not turn.get("tool_calls"):
        raise Refused(f"{where} is an assistant turn that says nothing")
    return turn


def _joined(parts: list[Any], where: str) -> str:
    texts = []
    for part in parts:
        if not isinstance(part, dict) or part.get("type", "text") != "text" or not isinstance(part.get("text"), str):
            what = part.get("type") if isinstance(part, dict) else None
            said = (
                f"has a part of type {what}" if isinstance(what, str) and what != "text" else "has a part without text"
            )
            raise Refused(f"{where}.content {said}: only text can be trained on, no multimodal row")
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
