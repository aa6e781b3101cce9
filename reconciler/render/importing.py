"""A manifest from what was imported, and the list of what is not in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml
from rich.text import Text

from reconciler.core.imported import Carried, Lost
from reconciler.render import words

_ORDER = ("run", "serving")


def manifest_text(name: str, carried: Carried, *, came_from: str, base: str, train: str) -> str:
    """The YAML of the manifest. What is not known from outside is the caller's `base` and `train`."""
    content: dict[str, Any] = {"apiVersion": "loraform/v1", "kind": "Experiment", "name": name}
    if carried.description:
        content["description"] = carried.description
    if carried.labels:
        content["labels"] = carried.labels
    if carried.adopt:
        content["adopt"] = carried.adopt
    content["model"] = {"base": base}
    content["data"] = {"train": train}
    content |= {block: carried.blocks[block] for block in _ORDER if block in carried.blocks}
    if "endpoint" in carried.adopt or "model" in carried.adopt:
        content.setdefault("serving", {"min_replica_count": 1})
    return f"# Imported from {words.clean(came_from)}\n" + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def lost_text(lost: Sequence[Lost]) -> Text:
    """A line for each field that was not carried over, by reason."""
    if not lost:
        return Text("Every field is carried over.\n")
    text = Text(f"{len(lost)} field{'s' * (len(lost) != 1)} not carried over:\n")
    for why in dict.fromkeys(item.why for item in lost):
        text.append(f"  {words.clean(why)}\n", "yellow")
        for item in lost:
            if item.why == why:
                text.append(f"    {words.clean(item.path)}: {words.value(item.shown)}\n")
    return text
