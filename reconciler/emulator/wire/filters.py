"""List filters: the part of AIP-160 that Vertex AI and Cloud Logging use. Decides whether one resource matches.

`labels.k=v`, `labels.k:*`, `labels:k`, `display_name:"a*"`, comparisons, AND, OR, NOT, `-`, brackets. OR binds more
tightly than AND, as AIP-160 says. Field names are taken in snake_case and camelCase.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from reconciler.emulator.wire.codec import camel, snake
from reconciler.emulator.wire.errors import ApiError

Test: TypeAlias = Callable[[Mapping[str, Any]], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<op><=|>=|!=|=~|!~|=|<|>|:)|(?P<bracket>[()])|"""
    r"""(?P<word>[^\s()=<>!:"']+))"""
)

_STATE = re.compile(
    r"(JOB|PIPELINE)_STATE_(UNSPECIFIED|QUEUED|PENDING|RUNNING|SUCCEEDED|FAILED|CANCELLING|CANCELLED|PAUSED)|"
    r"JOB_STATE_(EXPIRED|UPDATING|PARTIALLY_SUCCEEDED)"
)


@dataclass(slots=True)
class _Tokens:
    tokens: list[tuple[str, str]]
    at: int = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self.at += 1
        return token


def compile_filter(text: str, fields: Collection[str] | None = None) -> Test:
    """A test over the JSON form (camelCase, enums by name) of a resource.

    `fields` are the snake_case names that may be asked for (the first part of a path); None allows any. Raises
    `ApiError` INVALID_ARGUMENT for what cannot be read.
    """
    if not text.strip():
        return lambda resource: True
    tokens = _Tokens(_tokenize(text))
    try:
        test = _conjunction(tokens, text, fields, 0)
    except RecursionError:
        raise _unreadable(text) from None
    if tokens.peek()[0] != "end":
        raise _unreadable(text)
    return test


def _tokenize(text: str) -> list[tuple[str, str]]:
    tokens = []
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise _unreadable(text)
        tokens.append((found.lastgroup, found[found.lastgroup]))
        at = found.end()
    return tokens


def _conjunction(tokens: _Tokens, text: str, fields: Collection[str] | None, depth: int) -> Test:
    if depth > 50:
        raise _unreadable(text)
    tests = [_disjunction(tokens, text, fields, depth)]
    while tokens.peek()[0] != "end" and tokens.peek() != ("bracket", ")"):
        if tokens.peek() == ("word", "AND"):
            tokens.take()
        tests.append(_disjunction(tokens, text, fields, depth))
    return lambda resource: all(test(resource) for test in tests)


def _disjunction(tokens: _Tokens, text: str, fields: Collection[str] | None, depth: int) -> Test:
    tests = [_factor(tokens, text, fields, depth)]
    while tokens.peek() == ("word", "OR"):
        tokens.take()
        tests.append(_factor(tokens, text, fields, depth))
    return lambda resource: any(test(resource) for test in tests)


def _factor(tokens: _Tokens, text: str, fields: Collection[str] | None, depth: int) -> Test:
    if tokens.peek() == ("word", "NOT"):
        tokens.take()
        inner = _factor(tokens, text, fields, depth + 1)
        return lambda resource: not inner(resource)
    kind, word = tokens.take()
    if (kind, word) == ("bracket", "("):
        grouped = _conjunction(tokens, text, fields, depth + 1)
        if tokens.take() != ("bracket", ")"):
            raise _unreadable(text)
        return grouped
    negated = kind == "word" and word.startswith("-") and len(word) > 1
    path = [word[1:] if negated else word]
    if kind != "word" or path[0] in ("AND", "OR"):
        raise _unreadable(text)
    if path[0].endswith(".") and tokens.peek()[0] == "text":  # labels."a key"
        path = [path[0][:-1], _unquote(tokens.take()[1])]
    else:
        path = path[0].split(".")
    test = _comparison(tokens, path, text, fields)
    return (lambda resource: not test(resource)) if negated else test


def _comparison(tokens: _Tokens, path: list[str], text: str, fields: Collection[str] | None) -> Test:
    if fields is not None and snake(path[0]) not in fields:
        raise ApiError("INVALID_ARGUMENT", f'Invalid filter "{text}": unknown field "{".".join(path)}".')
    kind, operator = tokens.take()
    if kind != "op":
        raise _unreadable(text)
    kind, value = tokens.take()
    if kind not in ("word", "text"):
        raise _unreadable(text)
    quoted = kind == "text"
    if not quoted:  # an unquoted time holds colons: 2026-11-20T10:00:00Z
        while tokens.peek() == ("op", ":") and tokens.at + 1 < len(tokens.tokens):
            tokens.take()
            value += ":" + tokens.take()[1]
    value = _unquote(value) if quoted else value
    if fields is not None and len(path) == 1:
        _check_value(snake(path[0]), operator, value, text)
    return lambda resource: _holds(_look_up(resource, path), operator, value, quoted)


def _check_value(field: str, operator: str, value: str, text: str) -> None:
    """Raises INVALID_ARGUMENT where no resource could ever match: such a filter is a mistake of its writer."""
    if (operator, value) == (":", "*"):
        return
    if field.endswith("_time") and not isinstance(_ordered(value), datetime):
        raise ApiError("INVALID_ARGUMENT", f'Invalid filter "{text}": {field} is compared with a time as in RFC 3339.')
    if field == "state" and (operator not in ("=", "!=") or not _STATE.fullmatch(value)):
        raise ApiError("INVALID_ARGUMENT", f'Invalid filter "{text}": state is compared (=, !=) with one of its names.')


def _look_up(resource: Any, path: list[str]) -> Any:
    for part in path:
        if not isinstance(resource, Mapping):
            return None
        found = resource.get(part)
        resource = resource.get(camel(part)) if found is None else found
    return resource


def _holds(found: Any, operator: str, value: str, quoted: bool) -> bool:
    if operator == ":":
        if value == "*" and not quoted:
            return found is not None and found != ""
        if isinstance(found, Mapping):
            return value in found
        if isinstance(found, list):
            return value in found
        text = _text(found)
        return fnmatch.fnmatchcase(text, value) if "*" in value else value in text
    if found is None and operator not in ("=", "!="):
        return False
    if operator in ("=", "!="):
        same = _same(_text(found), value)
        return same if operator == "=" else not same
    if operator in ("=~", "!~"):
        try:
            return (re.search(value, _text(found)) is not None) is (operator == "=~")
        except re.error as error:
            raise ApiError("INVALID_ARGUMENT", f'Invalid regular expression "{value}": {error}') from None
    left, right = _ordered(_text(found)), _ordered(value)
    if type(left) is not type(right):
        left, right = _text(found), value
    compared: dict[str, bool] = {
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }
    return compared[operator]


def _same(text: str, value: str) -> bool:
    if "*" in value:
        return fnmatch.fnmatchcase(text, value)
    if text == value:
        return True
    left, right = _ordered(text), _ordered(value)
    return left == right if isinstance(left, datetime) and isinstance(right, datetime) else text == value


def _ordered(text: str) -> Any:
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment if moment.tzinfo is not None else text


def _text(found: Any) -> str:
    if found is None:
        return ""
    return str(found).lower() if isinstance(found, bool) else str(found)


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _unreadable(text: str) -> ApiError:
    return ApiError("INVALID_ARGUMENT", f'Invalid filter: "{text}" cannot be read.')
