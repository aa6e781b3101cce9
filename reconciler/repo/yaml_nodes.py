"""From the nodes of one YAML document to plain values: 1.2 core scalars, aliases, duplicate keys, tags.

It collects what is wrong and knows where; how nodes come about, and what the values mean, is not its business.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias, Union

import yaml

Plain: TypeAlias = Union[bool, int, float, str, list["Plain"], dict[str, "Plain"], None]

MAX_DEPTH = 40
MAX_NODES = 20_000
"""Nodes of one document with every alias written out."""


class Spot(NamedTuple):
    """A place in a text; both count from 1."""

    line: int
    column: int


class Problem(NamedTuple):
    """Something that is wrong with the text."""

    spot: Spot
    rule: str
    message: str
    remedy: str = ""


PLAIN, TEXT, LIST, MAP = "plain", "text", "list", "map"
"""What our resolver calls the kinds of nodes."""

_CORE = "tag:yaml.org,2002:"
_TAGS = {f"{_CORE}str": TEXT, f"{_CORE}seq": LIST, f"{_CORE}map": MAP, "!": TEXT}


class Builder:
    """Builds plain values from nodes and collects what is wrong with them."""

    __slots__ = ("problems", "scalars")

    def __init__(self, scalars: dict[str, Plain], problems: list[Problem]) -> None:
        self.scalars = scalars
        self.problems = problems

    def value(self, node: yaml.Node, depth: int) -> Plain:
        """The plain value of a node; None where it has none."""
        tag = node.tag
        if tag is PLAIN:
            text = node.value
            return self.scalars[text] if text in self.scalars else self._plain(node)
        if tag is TEXT:
            return str(node.value)
        if depth > MAX_DEPTH:
            self.problems.append(nested(spot_of(node.start_mark)))
            return None
        if tag is MAP:
            return self._mapping(node, depth + 1)
        if tag is LIST:
            return [self.value(item, depth + 1) for item in node.value]
        return self._tagged(node, depth)

    def _plain(self, node: yaml.Node) -> Plain:
        try:
            value = scalar(node.value)
        except OverflowError:
            message = f"`{node.value[:30]}` is no number that a manifest can hold"
            self._report(node, "number", message, "Put it in quotes if it is a text.")
            return None
        self.scalars[node.value] = value
        return value

    def _tagged(self, node: yaml.Node, depth: int) -> Plain:
        meant = _TAGS.get(node.tag)
        shapes = {TEXT: yaml.ScalarNode, LIST: yaml.SequenceNode, MAP: yaml.MappingNode}
        if meant is None or not isinstance(node, shapes[meant]):
            tag = node.tag.replace(_CORE, "!!")
            self._report(node, "yaml-tag", f"the tag {tag} has no meaning here", "Write the plain value.")
            return None
        node.tag = meant
        return self.value(node, depth)

    def _mapping(self, node: yaml.Node, depth: int) -> dict[str, Plain]:
        result: dict[str, Plain] = {}
        for key, value in node.value:
            name = key.value
            if not isinstance(name, str):
                self._report(key, "yaml-key", "a key is a text", "Write one line per key.")
            elif name == "<<" and key.tag is PLAIN:
                remedy = "Write the values out; `defaults` in loraform.yaml is for what all experiments share."
                self._report(key, "merge-key", "merge keys (<<) are not part of YAML 1.2", remedy)
            elif name in result:
                first = next(spot_of(other.start_mark) for other, _ in node.value if other.value == name)
                message = f"the key `{name}` stands twice; first in line {first.line}"
                self._report(key, "duplicate-key", message, "Keep one of them.")
            else:
                result[name] = self.value(value, depth)
        return result

    def _report(self, node: yaml.Node, rule: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(spot_of(node.start_mark), rule, message, remedy))


_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMERIC = frozenset("+-.0123456789")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL, _HEX = re.compile(r"0o[0-7]+"), re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def scalar(text: str) -> Plain:
    """A plain scalar by the core schema of YAML 1.2. OverflowError for numbers that JSON cannot hold."""
    if text in _NULLS:
        return None
    if text[0] not in _NUMERIC:
        return _BOOLS.get(text, text)
    if _INT.fullmatch(text):
        if len(text) > 20:
            raise OverflowError
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise OverflowError
        return number
    if _SPECIAL.fullmatch(text):
        raise OverflowError
    if _OCTAL.fullmatch(text):
        return int(text[2:22], 8)
    return int(text[2:18], 16) if _HEX.fullmatch(text) else text


def expanded(node: yaml.Node, sizes: dict[int, int], depth: int) -> tuple[int, Problem | None]:
    """How many nodes there are when every alias is written out. An alias within itself, or deep nesting, ends it."""
    if isinstance(node, yaml.ScalarNode):
        return 1, None
    known = sizes.get(id(node))
    if known is not None:
        if known:
            return known, None
        return 0, Problem(spot_of(node.start_mark), "exploding-alias", "this anchor is used within itself")
    if depth > MAX_DEPTH:
        return 0, nested(spot_of(node.start_mark))
    sizes[id(node)] = 0
    total = 1
    for child in _children(node):
        if isinstance(child, yaml.ScalarNode):
            total += 1
            continue
        size, problem = expanded(child, sizes, depth + 1)
        if problem is not None:
            return 0, problem
        total += size
    sizes[id(node)] = total
    return total, None


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    else:
        yield from node.value


def nested(spot: Spot) -> Problem:
    """The problem of values that are nested too deeply."""
    return Problem(spot, "too-deep", f"values are nested more than {MAX_DEPTH} deep here")


def spot_of(mark: Any) -> Spot:
    """A mark of the parser as a place."""
    return Spot(mark.line + 1, mark.column + 1)
