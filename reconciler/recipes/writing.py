"""An imported recipe as the text of a manifest: the fields in our order, and below them what was not carried over."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from reconciler.core.resources import Json
from reconciler.recipes.carry import Imported, Note

BLOCKS = ("model", "data", "adapter", "quantization", "training", "run", "evaluation", "serving")
LONGEST = 60
"""Characters of a recipe's value that a note shows."""


def manifest_text(imported: Imported, name: str, source: str) -> str:
    """The manifest of an experiment `name`; `source` says which recipe it comes from."""
    document: dict[str, Json] = {"apiVersion": "loraform/v1", "kind": "Experiment", "name": name}
    document |= {block: imported.manifest[block] for block in BLOCKS if block in imported.manifest}
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    left = [f"#   {_shown(note)}: {_line(note.said)}\n" for note in imported.left]
    said = "What has no place here:" if left else "Everything has its place."
    return f"# Imported from {_line(source)}. {said}\n{''.join(left)}{text}"


def label_safe(text: str) -> str:
    """A name that an experiment may have, made of a file's name."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
    return name if re.match(r"[a-z]", name) else f"imported-{name}".strip("-")[:40]


def notes_text(imported: Imported) -> str:
    """A line for every key that was changed on the way or left behind; those carried over as they are are counted."""
    same = sum(bool(note.path) and not note.said for note in imported.notes)
    changed = [note for note in imported.notes if note.path and note.said]
    lines = [f"carried over  {same} keys as they are\n"]
    lines += (f"changed       {_shown(note)} -> {note.path}: {_line(note.said)}\n" for note in changed)
    lines += (f"left          {_shown(note)}: {_line(note.said)}\n" for note in imported.left)
    return "".join(lines)


def _shown(note: Note) -> str:
    if note.value is None or isinstance(note.value, (Mapping, list)):
        return _line(note.key)
    value = _line(str(note.value) if isinstance(note.value, str) else json.dumps(note.value))
    return f"{_line(note.key)} {value[:LONGEST]}{'…' * (len(value) > LONGEST)}"


def _line(text: str) -> str:
    """On one line, with what a terminal or an editor would obey made visible."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class _Dumper(yaml.SafeDumper):
    """Lines of text as a block, so that a template can be read; no anchors, lists set off from their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
