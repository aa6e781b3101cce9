"""What a prune would delete, what going back to it would cost, and what is kept and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

from rich.text import Text

from reconciler.core.retention import Keep, Pruning, Stored
from reconciler.render import words
from reconciler.render.progress import duration

SHOWN = 6
"""Hex digits of an identity that are shown."""
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")

Past = Mapping[str, tuple[str, str]]
"""Identity -> (commit that started the run, its subject)."""


def prune_text(pruning: Pruning, past: Past, *, where: str) -> Text:
    """A block for each experiment, a line for each artifact that would go, and the count of what is kept and why."""
    text = Text()
    going = pruning.going
    kept = Counter(item.why for item in pruning.kept)
    reasons = "; ".join(f"{kept[why]}: {why}" for why in Keep if kept[why])
    if not going:
        text.append("nothing to prune", "green").append(f"   {words.clean(where)}: {len(pruning.kept)} kept.\n")
        return text.append(f"kept: {reasons}\n" if reasons else "")
    text.append(f"{words.clean(where)}", "bold").append(f"   prune {pruning.id}\n")
    for name in sorted({item.experiment for item in going}):
        text.append(f"\n{words.clean(name)}\n", "bold")
        for item in pruning.prunable:
            if item.experiment == name:
                _row(text, item, past)
        for item in pruning.unfinished:
            if item.experiment == name:
                text.append(f"  - {item.stamp[:SHOWN]}  {_size(item.size):>9}  ", "red")
                text.append(f"pruned already, {item.objects} objects of it are left\n")
    total = sum(item.size for item in going)
    text.append(f"\n{len(going)} to prune, {_size(total)}; {len(pruning.kept)} kept", "bold")
    text.append(f" ({reasons})" if reasons else "").append(".   Their run records and metrics stay.\n")
    return text.append(f"loraform prune --yes --expect {pruning.id}\n")


def pruned_text(item: Stored, objects: int) -> str:
    """One artifact that has gone."""
    return f"pruned     {words.clean(item.experiment)} {item.stamp[:SHOWN]}  {objects} object{'s' * (objects != 1)}"


def prune_json(pruning: Pruning, past: Past, *, where: str) -> str:
    """The same for programs; every key is always there."""
    document = {
        "version": 1,
        "id": pruning.id,
        "target": where,
        "prune": [{**_stored(item), "commit": past.get(item.identity, ("", ""))[0]} for item in pruning.prunable],
        "unfinished": [_stored(item) for item in pruning.unfinished],
        "kept": [{**_stored(item.stored), "why": str(item.why)} for item in pruning.kept],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _row(text: Text, item: Stored, past: Past) -> None:
    commit, subject = past.get(item.identity, ("", ""))
    when = datetime.fromtimestamp(item.written, UTC).strftime("%Y-%m-%d")
    of = f"{commit[:SHOWN]} {words.clean(subject, words.LONGEST)}".rstrip() if commit else "a tree without a commit"
    text.append(f"  - {item.stamp[:SHOWN]}  {_size(item.size):>9}  ", "red").append(f"trained {when} by {of}\n")
    spent = f", {duration(item.seconds)} the last time" if item.seconds else ""
    text.append(f"{'':>12}to go back to it would train again{spent}\n", "yellow")


def _stored(item: Stored) -> dict[str, object]:
    return {
        "experiment": item.experiment,
        "identity": item.identity,
        "written": datetime.fromtimestamp(item.written, UTC).isoformat(),
        "bytes": item.size,
        "objects": item.objects,
        "train_seconds": item.seconds,
    }


def _size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"
