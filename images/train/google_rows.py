"""Rows as Google's tuning takes them, in turns of a chat: author and content with a context, and GenerateContent.

Only the outer shape is translated: what a turn may say is judged in `rows.py`, for all formats alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from images.train.sources import Refused, kind


def authored_turns(row: Mapping[str, Any], messages: Any) -> Any:
    """`messages` by author, led by the row's `context` as a system turn."""
    context = row.get("context")
    if context is not None and not isinstance(context, str):
        raise Refused(f"context must be a string, not {kind(context)}")
    if not isinstance(messages, list) or not messages:
        return messages
    turns = [_by_role(turn, f"messages[{index}]") for index, turn in enumerate(messages)]
    return [*_system(context or ""), *turns]


def content_turns(row: Mapping[str, Any], contents: Any) -> Any:
    """The turns of a GenerateContent request with its answers."""
    if row.get("tools"):
        raise Refused("tools in a GenerateContent row cannot be read; write such rows as data.format: messages")
    turns = []
    for key in ("systemInstruction", "system_instruction"):
        instruction = row.get(key)
        if isinstance(instruction, str):
            turns += _system(instruction)
        elif instruction is not None:
            turns += _system(_text(instruction, key))
    if not isinstance(contents, list) or not contents:
        return contents
    for index, content in enumerate(contents):
        where = f"contents[{index}]"
        text = _text(content, where)
        # Google's API takes a content without a role as the user's.
        turns.append({"role": content.get("role") or "user", "content": text})
    return turns


def _system(text: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": text}] if text.strip() else []


def _by_role(turn: Any, where: str) -> dict[str, Any]:
    if not isinstance(turn, dict):
        raise Refused(f"{where} must be an object with author and content, not {kind(turn)}")
    author = turn.get("author")
    if author is None:
        raise Refused(f"{where} has no author (its keys are {', '.join(sorted(map(str, turn))) or 'none'})")
    return {"role": author, "content": turn.get("content")}


def _text(content: Any, where: str) -> str:
    parts = content.get("parts") if isinstance(content, dict) else None
    if isinstance(parts, dict):
        parts = [parts]
    if not isinstance(parts, list) or not parts:
        raise Refused(f"{where} must be an object with a list of parts")
    texts = []
    for index, part in enumerate(parts):
        given = {key: value for key, value in part.items() if value is not None} if isinstance(part, dict) else {}
        if set(given) - {"thought"} != {"text"} or not isinstance(given["text"], str):
            raise Refused(_not_text(f"{where}.parts[{index}]", given))
        if given.get("thought"):
            raise Refused(f"{where}.parts[{index}] is a thought, which no chat template renders; leave it out")
        texts.append(given["text"])
    return "".join(texts)


def _not_text(where: str, part: Mapping[str, Any]) -> str:
    if set(part) & {"functionCall", "functionResponse", "function_call", "function_response"}:
        return f"{where} is about a function; write rows with tools as data.format: messages"
    what = f"has {', '.join(sorted(map(str, part)))}" if part else "is no object with text"
    return f"{where} {what}: the row is multimodal or malformed, and only text can be trained on"
