"""YAML as Loraform reads it: 1.2 core scalars, on the C parser, with the place of every key and value.

It turns bytes into documents of plain values and collects what is wrong with the text itself: encoding, size, tabs,
duplicate keys, tags, merge keys, exploding aliases. It knows nothing about manifests, and never raises on bad input.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias, Union

import yaml
from yaml._yaml import CParser

Plain: TypeAlias = Union[bool, int, float, str, list["Plain"], dict[str, "Plain"], None]
Step: TypeAlias = str | int

MAX_BYTES = 1_000_000
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


@dataclass(slots=True)
class Document:
    """One document: its plain value, and the nodes that know where everything stands."""

    value: Plain
    node: yaml.Node | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def spot(self) -> Spot:
        """Where the document starts."""
        return _spot(self.node.start_mark) if self.node is not None else Spot(1, 1)

    def locate(self, path: Sequence[Step], *, key: bool = False) -> Spot:
        """Where the value at `path` stands (with `key` its key), or the deepest part of the path that exists."""
        return self.find(path, key=key)[0]

    def find(self, path: Sequence[Step], *, key: bool = False) -> tuple[Spot, int]:
        """The same, and how many steps of the path exist."""
        node, spot = self.node, self.spot
        for depth, step in enumerate(path):
            found = _child(node, step)
            if found is None:
                return spot, depth
            label, node = found
            spot = _spot((label if label is not None and (key or _empty(node)) else node).start_mark)
            if label is not None and depth + 1 < len(path):
                spot = _spot(label.start_mark)
        return spot, len(path)


def read(raw: bytes, scalars: dict[str, Plain] | None = None) -> tuple[list[Document], list[Problem]]:
    """The documents of a file, and the problems that keep the rest of it from being read.

    `scalars` remembers plain scalars from file to file: who reads many passes one dictionary.
    """
    text, problem = _decoded(raw)
    if problem is not None:
        return [], [problem]
    documents: list[Document] = []
    parser = _Parser(text)
    known = {} if scalars is None else scalars
    aliases = "*" in text
    try:
        while (node := parser.get_node() if parser.check_node() else None) is not None:
            documents.append(_document(node, aliases, known))
    except yaml.MarkedYAMLError as error:
        return documents, [_syntax(error, text)]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return documents, [Problem(Spot(1, 1), "yaml-syntax", f"this is not YAML: {_first_line(error)}")]
    finally:
        parser.dispose()
    if not documents:
        return [], [Problem(Spot(1, 1), "empty-file", "there is no manifest in this file", "Delete it, or write one.")]
    return documents, []


def _decoded(raw: bytes) -> tuple[str, Problem | None]:
    start = Spot(1, 1)
    if len(raw) > MAX_BYTES:
        size = f"{len(raw):,} bytes; a manifest has at most {MAX_BYTES:,}"
        return "", Problem(start, "huge-file", f"the file has {size}", "Data belongs into files of its own.")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "", Problem(start, "encoding", "the file is UTF-16", "Save it as UTF-8 without a byte order mark.")
    if raw.startswith(b"\xef\xbb\xbf"):
        return "", Problem(
            start, "encoding", "the file starts with a byte order mark", "Save it as UTF-8 without a byte order mark."
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        spot = Spot(before.count(b"\n") + 1, column)
        return "", Problem(spot, "encoding", f"byte 0x{raw[error.start]:02x} is not UTF-8", "Save the file as UTF-8.")
    if (odd := _UNPRINTABLE.search(text)) is not None:
        message = f"the character U+{ord(odd[0]):04X} may not stand in YAML"
        return "", Problem(
            _spot_of(text, odd.start()), "encoding", message, "Delete it, or escape it in double quotes."
        )
    deep = _too_deep(text)
    return text, deep


_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def _too_deep(text: str) -> Problem | None:
    """Refuse nesting on which the C composer would overflow the stack. Only suspicious texts are looked at closely."""
    longest = max(map(len, text.splitlines()), default=0)
    if text.count("[") + text.count("{") + longest < 2_000:
        return None
    parser, depth = _Parser(text), 0
    try:
        while parser.check_event():
            event: Any = parser.get_event()
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                return _nested(_spot(event.start_mark))
    except yaml.YAMLError:
        return None
    finally:
        parser.dispose()
    return None


def _nested(spot: Spot) -> Problem:
    return Problem(spot, "too-deep", f"values are nested more than {MAX_DEPTH} deep here")


_PLAIN, _TEXT, _LIST, _MAP = "plain", "text", "list", "map"


class _Parser(CParser):
    """The C parser and composer with no resolver but ours: a scalar is plain or quoted, no more."""

    def __init__(self, text: str) -> None:
        super().__init__(text)

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: object) -> str:
        if kind is yaml.ScalarNode:
            return _PLAIN if isinstance(implicit, tuple) and implicit[0] else _TEXT
        return _LIST if kind is yaml.SequenceNode else _MAP

    def descend_resolver(self, parent: yaml.Node | None, index: object) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass


_CORE = "tag:yaml.org,2002:"
_TAGS = {f"{_CORE}str": _TEXT, f"{_CORE}seq": _LIST, f"{_CORE}map": _MAP, "!": _TEXT}


def _document(node: yaml.Node, aliases: bool, scalars: dict[str, Plain]) -> Document:
    document = Document(None, node)
    if aliases:
        size, problem = _expanded(node, {}, 0)
        if problem is None and size > MAX_NODES:
            message = f"the document has {size:,} values with its aliases written out; {MAX_NODES:,} are allowed"
            remedy = "Write the values out, or split the file."
            problem = Problem(_spot(node.start_mark), "exploding-alias", message, remedy)
        if problem is not None:
            document.problems.append(problem)
            return document
    document.value = _Builder(scalars, document.problems).value(node, 0)
    return document


def _expanded(node: yaml.Node, sizes: dict[int, int], depth: int) -> tuple[int, Problem | None]:
    """How many nodes there are when every alias is written out. An alias within itself, or deep nesting, ends it."""
    if isinstance(node, yaml.ScalarNode):
        return 1, None
    known = sizes.get(id(node))
    if known is not None:
        if known:
            return known, None
        return 0, Problem(_spot(node.start_mark), "exploding-alias", "this anchor is used within itself")
    if depth > MAX_DEPTH:
        return 0, _nested(_spot(node.start_mark))
    sizes[id(node)] = 0
    total = 1
    for child in _children(node):
        if isinstance(child, yaml.ScalarNode):
            total += 1
            continue
        size, problem = _expanded(child, sizes, depth + 1)
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


class _Builder:
    """Builds plain values from nodes and collects what is wrong with them."""

    __slots__ = ("problems", "scalars")

    def __init__(self, scalars: dict[str, Plain], problems: list[Problem]) -> None:
        self.scalars = scalars
        self.problems = problems

    def value(self, node: yaml.Node, depth: int) -> Plain:
        """The plain value of a node; None where it has none."""
        tag = node.tag
        if tag is _PLAIN:
            text = node.value
            return self.scalars[text] if text in self.scalars else self._plain(node)
        if tag is _TEXT:
            return str(node.value)
        if depth > MAX_DEPTH:
            self.problems.append(_nested(_spot(node.start_mark)))
            return None
        if tag is _MAP:
            return self._mapping(node, depth + 1)
        if tag is _LIST:
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
        shapes = {_TEXT: yaml.ScalarNode, _LIST: yaml.SequenceNode, _MAP: yaml.MappingNode}
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
            elif name == "<<" and key.tag is _PLAIN:
                remedy = "Write the values out; `defaults` in loraform.yaml is for what all experiments share."
                self._report(key, "merge-key", "merge keys (<<) are not part of YAML 1.2", remedy)
            elif name in result:
                first = next(_spot(other.start_mark) for other, _ in node.value if other.value == name)
                message = f"the key `{name}` stands twice; first in line {first.line}"
                self._report(key, "duplicate-key", message, "Keep one of them.")
            else:
                result[name] = self.value(value, depth)
        return result

    def _report(self, node: yaml.Node, rule: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(_spot(node.start_mark), rule, message, remedy))


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


def _child(node: yaml.Node | None, step: Step) -> tuple[yaml.Node | None, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None


def _empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == "" and node.tag is _PLAIN


def _spot(mark: Any) -> Spot:
    return Spot(mark.line + 1, mark.column + 1)


def _spot_of(text: str, index: int) -> Spot:
    return Spot(text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def _syntax(error: yaml.MarkedYAMLError, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    lines = text.split("\n")
    if mark is not None and mark.index >= len(text.rstrip()) and error.context_mark is not None:
        begun = error.context_mark
        if begun.line < len(lines) and begun.index < len(text.rstrip()):
            return Problem(_spot(begun), "yaml-syntax", "this is not YAML: what begins here is never closed")
    spot = _spot(mark) if mark is not None else Spot(1, 1)
    if spot.line > len(lines):
        spot = Spot(len(lines), len(lines[-1]) + 1)
    line = lines[spot.line - 1]
    before = line[: len(line) - len(line.lstrip())]
    if "\t" in before:
        return Problem(
            Spot(spot.line, before.index("\t") + 1), "yaml-tab", "a tab cannot indent YAML", "Indent with spaces."
        )
    words = str(error.problem or error.context or "it cannot be read")
    if "undefined alias" in words:
        return Problem(spot, "yaml-syntax", "this alias has no anchor before it")
    return Problem(spot, "yaml-syntax", f"this is not YAML: {words}", _remedy(words))


def _remedy(words: str) -> str:
    if "mapping values are not allowed" in words:
        return "Put a text that contains `: ` in quotes."
    if "block mapping" in words or "expected ':'" in words:
        return "Look at the indentation, and for a missing colon in the line before."
    return ""


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0][:120]
