"""The body of a prediction request: which of the two contracts it speaks, or why it is neither.

Pure. What an instance means is decided in `instances`, what an OpenAI body means by vLLM's own request models.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn


class BadBody(ValueError):
    """The body as a whole cannot be answered: HTTP 400 with this message."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Vertex AI's contract: several instances, and parameters that hold for all of them."""

    instances: list[Any]
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OpenAIBody:
    """A raw OpenAI body, as `rawPredict` hands it on: chat if it has `messages`, else completion."""

    fields: dict[str, Any]

    @property
    def chat(self) -> bool:
        """Whether this is a chat completion."""
        return "messages" in self.fields


def read_body(body: bytes) -> Batch | OpenAIBody:
    """Parse and classify. BadBody with a reason for everything that is neither contract."""
    try:
        content = json.loads(body, parse_constant=_refuse_constant)
        # Half a surrogate pair is legal JSON and no text: nothing behind us could encode it.
        json.dumps(content, ensure_ascii=False).encode("utf-8")
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise BadBody(f"the body holds text that is not Unicode: {error.reason}") from error
    except (ValueError, RecursionError) as error:
        raise BadBody(f"the body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise BadBody(f'the body must be an object like {{"instances": [...]}}, not {kind(content)}')
    if "instances" in content:
        return _batch(content)
    if "messages" in content or "prompt" in content:
        return OpenAIBody(content)
    raise BadBody('the body has neither "instances" (prediction) nor "messages" or "prompt" (OpenAI)')


def kind(value: Any) -> str:
    """What JSON calls the type of `value`, for messages."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _batch(content: dict[str, Any]) -> Batch:
    instances, parameters = content["instances"], content.get("parameters")
    if not isinstance(instances, list):
        raise BadBody(f'"instances" must be a list, not {kind(instances)}')
    if not instances:
        raise BadBody('"instances" is empty: send at least one')
    if parameters is not None and not isinstance(parameters, dict):
        raise BadBody(f'"parameters" must be an object, not {kind(parameters)}')
    return Batch(instances, parameters or {})


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")
