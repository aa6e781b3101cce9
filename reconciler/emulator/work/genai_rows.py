"""Rows of managed tuning data to chat `messages`: every text format that the documentation of tuning shows.

`input_text`/`output_text`, `contents` with `parts` (GenerateContent), `context` with `author`s, `prompt`/`completion`,
and `messages` themselves. Text only: a row with pictures is refused by file and line.
"""

from __future__ import annotations

import json
from typing import Any

Turn = dict[str, str]
_ROLES = {"user": "user", "model": "assistant", "assistant": "assistant", "system": "system"}


class BadRowError(Exception):
    """A row that cannot be learnt from; the message names file and line."""


def convert(text: str, file: str, context: str = "", *, prompts: bool = False) -> list[list[Turn]]:
    """The conversations of a JSONL text. `context` is the system turn of rows that have none.

    With `prompts` a row need not have an answer. Raises `BadRowError` for the first bad row, and when there is none.
    """
    found: list[list[Turn]] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if not line.strip():
            continue
        try:
            turns = _turns(json.loads(line), context)
        except json.JSONDecodeError as error:
            raise BadRowError(f"{file}:{number}: not JSON: {error.msg} at column {error.colno}") from None
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise BadRowError(f"{file}:{number}: {_reason(error)}") from None
        if not prompts and turns[-1]["role"] != "assistant":
            raise BadRowError(f"{file}:{number}: the last turn must be the model's answer")
        found.append(turns)
    if not found:
        raise BadRowError(f"{file}: it has no rows")
    return found


def _turns(row: Any, context: str) -> list[Turn]:
    if not isinstance(row, dict):
        raise ValueError("a JSON object is wanted")
    system = ""
    if "input_text" in row:
        turns = [_turn("user", row["input_text"])]
        turns += [_turn("assistant", row["output_text"])] if "output_text" in row else []
    elif "prompt" in row:
        turns = [_turn("user", row["prompt"])]
        turns += [_turn("assistant", row["completion"])] if "completion" in row else []
    elif "contents" in row:
        turns = [_turn(_ROLES[one.get("role", "user")], _parts(one)) for one in row["contents"]]
        instruction = row.get("systemInstruction", row.get("system_instruction"))
        system = _parts(instruction) if instruction else ""
    elif "messages" in row:
        turns = [
            _turn(_ROLES[one["author"]] if "author" in one else _ROLES[one["role"]], _content(one["content"]))
            for one in row["messages"]
        ]
        system = row.get("context", "")
    else:
        raise ValueError(
            "none of the known formats: contents, messages, input_text with output_text, prompt with completion"
        )
    if not turns:
        raise ValueError("it has no turns")
    system = system or context
    if system and turns[0]["role"] != "system":
        turns.insert(0, _turn("system", system))
    return turns


def _turn(role: str, text: Any) -> Turn:
    if not isinstance(text, str):
        raise ValueError(f"the text of the {role} must be a string")
    return {"role": role, "content": text}


def _parts(content: Any) -> str:
    texts = []
    for part in content["parts"]:
        if "text" not in part:
            raise ValueError(f"only text is tuned on here, not {next(iter(part), 'nothing')}")
        texts.append(part["text"])
    return "".join(texts)


def _content(content: Any) -> str:
    if isinstance(content, list):
        return _parts({"parts": content})
    return str(_turn("message", content)["content"])


def _reason(error: Exception) -> str:
    return f"{error.args[0]!r} is missing or unknown" if isinstance(error, KeyError) else str(error)
