"""Setting one field in the text of a manifest, and the difference as a patch that `git apply` takes.

Only the characters of that one field change: comments, order, quotes and line ends stay. What cannot be done so is
refused; a manifest is never written anew.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any, TypeAlias

import yaml

from reconciler.core.resources import Json
from reconciler.repo import yaml_text
from reconciler.repo.yaml_nodes import Plain, scalar
from reconciler.repo.yaml_text import Document

Path: TypeAlias = tuple[str, ...]


class CannotEdit(ValueError):
    """The text is written in a way in which this field cannot be set mechanically; says why."""


def with_value(raw: bytes, index: int, path: Path, value: Json) -> bytes:
    """The file with `path` set to `value` in its document number `index`; blocks that are missing are added.

    Raises CannotEdit where an anchor, an alias, a text of several lines or a value that is no block is in the way.
    """
    document = _document(raw, index)
    text = raw.decode("utf-8")
    result = _edited(text, document.node, path, value).encode("utf-8")
    if _document(result, index).value != _set(document.value, path, value):
        raise CannotEdit(f"`{'.'.join(path)}` cannot be set without touching something else")
    return result


def patch(name: str, before: bytes, after: bytes) -> str:
    """A unified diff of one file, `name` being its path from the top of the repository; "" when nothing differs."""
    old, new = _lines(before), _lines(after)
    mark = "\t" if " " in name else ""
    lines = difflib.unified_diff(old, new, f"a/{name}{mark}", f"b/{name}{mark}", n=3)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def shown(value: Json) -> str:
    """A value in YAML's flow style, as a manifest would have it."""
    if isinstance(value, str):
        return value if _plain(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Sequence):
        return f"[{', '.join(shown(item) for item in value)}]"
    return json.dumps(value)


def _document(raw: bytes, index: int) -> Document:
    documents, problems = yaml_text.read(raw)
    if problems or index >= len(documents) or documents[index].problems:
        raise CannotEdit("the manifest cannot be read")
    return documents[index]


def _set(content: Plain, path: Path, value: Json) -> Plain:
    """What the document must say afterwards."""
    if not path:
        return json.loads(json.dumps(value))  # type: ignore[no-any-return]
    before = content if isinstance(content, dict) else {}
    return {**before, path[0]: _set(before.get(path[0]), path[1:], value)}


def _edited(text: str, node: yaml.Node | None, path: Path, value: Json) -> str:
    start, key = 0, node
    for depth, step in enumerate(path, 1):
        if not isinstance(node, yaml.MappingNode):
            raise CannotEdit(f"there is no block for `{step}`")
        found = next(((key, child) for key, child in node.value if key.value == step), None)
        if found is None:
            return _added(text, node, path[depth - 1 :], value)
        key, node = found
        if node.start_mark.index < max(start, key.end_mark.index) or text[node.start_mark.index :][:1] in ("&", "*"):
            raise CannotEdit(f"`{step}` is shared by an anchor")
        start = key.end_mark.index
    return _replaced(text, key, node, value)


def _replaced(text: str, key: Any, child: Any, value: Json) -> str:
    start, end = child.start_mark.index, child.end_mark.index
    if isinstance(child, yaml.ScalarNode) and child.style in ("|", ">"):
        raise CannotEdit(f"`{key.value}` is a text of several lines")
    if not isinstance(child, yaml.ScalarNode) and not child.flow_style:
        # A list with one item a line goes as a whole: from behind the colon to the end of its last item.
        start = text.index(":", key.end_mark.index) + 1
        end = max((item.end_mark.index for item in child.value), default=end) if child.value else end
        return f"{text[:start]} {shown(value)}{text[end:]}"
    if start == end:  # `key:` without a value
        start = end = text.index(":", key.end_mark.index) + 1
        return f"{text[:start]} {shown(value)}{text[end:]}"
    return f"{text[:start]}{shown(value)}{text[end:]}"


def _added(text: str, node: yaml.MappingNode, path: Path, value: Json) -> str:
    if node.flow_style:
        inner = shown(value)
        for step in reversed(path[1:]):
            inner = f"{{{step}: {inner}}}"
        return _into_flow(text, node, f"{path[0]}: {inner}")
    if not node.value:
        raise CannotEdit("the block is empty")
    ending = "\r\n" if "\r\n" in text else "\n"
    column = node.value[0][0].start_mark.column
    lines = [f"{' ' * (column + 2 * depth)}{step}:" for depth, step in enumerate(path)]
    lines[-1] += f" {shown(value)}"
    place = _end_of(text, node.value[-1][1])
    before = text[:place] if place == 0 or text[:place].endswith("\n") else text[:place] + ending
    return f"{before}{ending.join(lines)}{ending}{text[place:]}"


def _into_flow(text: str, node: yaml.MappingNode, entry: str) -> str:
    if not node.value:
        start = node.start_mark.index + 1
        return f"{text[:start]}{entry}{text[start:]}"
    end = node.value[-1][1].end_mark.index
    return f"{text[:end]}, {entry}{text[end:]}"


def _end_of(text: str, node: yaml.Node) -> int:
    """Where the line behind a value starts. A block ends behind its last value, not behind the comments after it."""
    while isinstance(node, (yaml.MappingNode, yaml.SequenceNode)) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    end = node.end_mark.index
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return end
    line = text.find("\n", end)
    return len(text) if line < 0 else line + 1


def _lines(raw: bytes) -> list[str]:
    """Lines as git counts them: by \\n alone, a carriage return belongs to its line."""
    parts = raw.decode("utf-8").split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _plain(text: str) -> bool:
    """Whether a text may stand without quotes."""
    simple = bool(text) and all(character.isalnum() or character in "_./@-" for character in text)
    return simple and text[0] not in "-@." and isinstance(scalar(text), str)


def _number(value: float) -> str:
    text = f"{value:.12g}"
    return text if any(character in text for character in ".en") else f"{text}.0"
