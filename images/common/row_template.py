"""`data.template`: a sandboxed jinja2 file from a record to what the model is asked and what it answers.

Its blocks say which: `user` and `assistant` (and `system`), or `prompt` and `completion` for a base without a chat
template, or `messages`, a JSON list of turns. Training renders all of them, serving only what stands before the answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from schemas.row_template import SHAPES, WANTED

FILE = "row_template.jinja"
"""The template's name in an artifact."""


class BadTemplate(ValueError):
    """The template itself is wrong, whatever the record."""


class BadRecord(ValueError):
    """The template cannot be rendered for this record."""


@dataclass(frozen=True, slots=True)
class RowTemplate:
    """A template that was read. `asked` are the names of fields that the blocks before the answer use, sorted."""

    text: str
    blocks: frozenset[str]
    asked: tuple[str, ...]

    @property
    def chat(self) -> bool:
        """Whether it makes turns, which a chat template has to render."""
        return "prompt" not in self.blocks

    def row(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The record as a row of `format: messages`, or of `prompt_completion` with two texts. Raises BadRecord."""
        if not self.chat:
            return {name: self._block(name, record) for name in ("prompt", "completion")}
        if "messages" in self.blocks:
            return {"messages": self._messages(record)}
        return {"messages": [*self._before(record), self._turn("assistant", record)]}

    def question(self, record: Mapping[str, Any]) -> str | list[dict[str, Any]]:
        """What is asked: a prompt, or the turns before the last answer. Raises BadRecord."""
        if not self.chat:
            return self._block("prompt", record)
        if "messages" not in self.blocks:
            return self._before(record)
        turns = self._messages(record)
        while turns and turns[-1].get("role") in ("assistant", "model"):
            turns.pop()
        if not turns:
            raise BadRecord("its messages hold nothing that is asked")
        return turns

    def _before(self, record: Mapping[str, Any]) -> list[dict[str, Any]]:
        system = self._turn("system", record) if "system" in self.blocks else None
        return [*([system] if system and system["content"] else []), self._turn("user", record)]

    def _turn(self, role: str, record: Mapping[str, Any]) -> dict[str, Any]:
        return {"role": role, "content": self._block(role, record).strip()}

    def _messages(self, record: Mapping[str, Any]) -> list[dict[str, Any]]:
        try:
            turns = json.loads(self._block("messages", record))
        except ValueError as error:
            raise BadRecord(f"its block messages renders no JSON ({error}): write values with `| tojson`") from error
        if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
            raise BadRecord("its block messages must render a JSON list of objects with role and content")
        return turns

    def _block(self, name: str, record: Mapping[str, Any]) -> str:
        template = _compiled(self.text)
        try:
            context = template.new_context({str(key): value for key, value in record.items()})
            return "".join(template.blocks[name](context)).removesuffix("\n")
        except jinja2.UndefinedError as error:
            raise BadRecord(f"{error.message}, in the template's block {name}") from error
        except (jinja2.TemplateError, ArithmeticError, TypeError, ValueError, LookupError, RecursionError) as error:
            raise BadRecord(f"the template's block {name} cannot be rendered: {error}") from error


@cache
def read_template(text: str) -> RowTemplate:
    """Parse a template. Raises BadTemplate with the line of a syntax error, and for other blocks than it must have."""
    environment = _environment()
    try:
        parsed = environment.parse(text)
        environment.compile(parsed)
    except jinja2.TemplateSyntaxError as error:
        raise BadTemplate(f"line {error.lineno}: {error.message}") from error
    except (jinja2.TemplateError, RecursionError) as error:
        raise BadTemplate(str(error)) from error
    if foreign := next(parsed.find_all((nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)), None):
        raise BadTemplate(f"line {foreign.lineno}: other files cannot be read from it")
    found = {node.name: node for node in parsed.find_all(nodes.Block)}
    if frozenset(found) not in SHAPES:
        raise BadTemplate(f"{WANTED}; it has {', '.join(sorted(found)) or 'none'}")
    asked: set[str] = set()
    for name in found.keys() - {"assistant", "completion"}:
        body = nodes.Template(found[name].body, lineno=1)
        body.set_environment(environment)
        asked |= meta.find_undeclared_variables(body)
    return RowTemplate(text, frozenset(found), tuple(sorted(asked)))


@cache
def _compiled(text: str) -> jinja2.Template:
    return _environment().from_string(text)


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    """No files, no imports, no attributes of Python's own; a field that a record lacks is an error, not nothing."""
    return ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
