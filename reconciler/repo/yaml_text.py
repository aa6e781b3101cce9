"""YAML as Loraform reads it: on the C parser, with the place of every key and value, and never raising on bad input.

It turns bytes into documents and collects what is wrong with the text itself: encoding, size, tabs, syntax, nesting
that would overflow the parser. It knows nothing about manifests.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml
from yaml._yaml import CParser

from reconciler.repo.yaml_nodes import (
    LIST,
    MAP,
    MAX_DEPTH,
    MAX_NODES,
    PLAIN,
    TEXT,
    Builder,
    Plain,
    Problem,
    Spot,
    expanded,
    nested,
    spot_of,
)

Step: TypeAlias = str | int
MAX_BYTES = 1_000_000


@dataclass(slots=True)
class Document:
    """One document: its plain value, and the nodes that know where everything stands."""

    value: Plain
    node: yaml.Node | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def spot(self) -> Spot:
        """Where the document starts."""
        return spot_of(self.node.start_mark) if self.node is not None else Spot(1, 1)

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
            spot = spot_of((label if label is not None and (key or _empty(node)) else node).start_mark)
            if label is not None and depth + 1 < len(path):
                spot = spot_of(label.start_mark)
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
            _spot_at(text, odd.start()), "encoding", message, "Delete it, or escape it in double quotes."
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
                return nested(spot_of(event.start_mark))
    except yaml.YAMLError:
        return None
    finally:
        parser.dispose()
    return None


class _Parser(CParser):
    """The C parser and composer with no resolver but ours: a scalar is plain or quoted, no more."""

    def __init__(self, text: str) -> None:
        super().__init__(text)

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: object) -> str:
        if kind is yaml.ScalarNode:
            return PLAIN if isinstance(implicit, tuple) and implicit[0] else TEXT
        return LIST if kind is yaml.SequenceNode else MAP

    def descend_resolver(self, parent: yaml.Node | None, index: object) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass


def _document(node: yaml.Node, aliases: bool, scalars: dict[str, Plain]) -> Document:
    document = Document(None, node)
    if aliases:
        size, problem = expanded(node, {}, 0)
        if problem is None and size > MAX_NODES:
            message = f"the document has {size:,} values with its aliases written out; {MAX_NODES:,} are allowed"
            remedy = "Write the values out, or split the file."
            problem = Problem(spot_of(node.start_mark), "exploding-alias", message, remedy)
        if problem is not None:
            document.problems.append(problem)
            return document
    document.value = Builder(scalars, document.problems).value(node, 0)
    return document


def _child(node: yaml.Node | None, step: Step) -> tuple[yaml.Node | None, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None


def _empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == "" and node.tag is PLAIN


def _spot_at(text: str, index: int) -> Spot:
    return Spot(text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def _syntax(error: yaml.MarkedYAMLError, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    lines = text.split("\n")
    if mark is not None and mark.index >= len(text.rstrip()) and error.context_mark is not None:
        begun = error.context_mark
        if begun.line < len(lines) and begun.index < len(text.rstrip()):
            return Problem(spot_of(begun), "yaml-syntax", "this is not YAML: what begins here is never closed")
    spot = spot_of(mark) if mark is not None else Spot(1, 1)
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
