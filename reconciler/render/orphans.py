"""Orphans as a person reads them: what nobody needs, why, and what it costs a day as far as anybody knows."""

from __future__ import annotations

import json
from collections.abc import Iterable

from rich.text import Text

from reconciler.core.orphans import Orphan
from reconciler.render import words


def orphans_text(found: Iterable[Orphan], *, source: str, local: bool) -> Text:
    """A line for each thing, and below them the sum. On this machine nothing costs anything, so no price is told."""
    found = tuple(found)
    if not found:
        return Text("No orphan: all that is live is in git and answers.\n")
    width = max(len(words.clean(item.live.address.experiment)) for item in found)
    costs = {item.live.name: "" if local else _cost(item.per_day) for item in found}
    widest = max(len(cost) for cost in costs.values())
    text = Text()
    for item in found:
        live = item.live
        text.append(f"{words.clean(live.address.experiment):<{width}}  {live.address.role:<11} {live.phase:<8} ")
        text.append(f"{costs[live.name]:<{widest}}  " if widest else "")
        text.append(f"{item.why}  ", "yellow").append(f"{words.clean(live.name)}\n")
    text.append(f"{len(found)} in all", "bold")
    if not local:
        known = sum(item.per_day or 0.0 for item in found)
        unknown = sum(item.per_day is None for item in found)
        text.append(f", {known:.2f} USD a day" + (f" and {unknown} without a known price" * bool(unknown)), "bold")
    text.append(".   `loraform gc` shows how they go.\n", "bold")
    return text if local else text.append(f"prices: {words.clean(source)}\n", "dim")


def orphans_json(found: Iterable[Orphan], *, source: str) -> str:
    """The same for programs; `usd_per_day` is null where no price is known."""
    rows = [
        {
            "experiment": item.live.address.experiment,
            "role": str(item.live.address.role),
            "name": item.live.name,
            "identity": item.live.stamp,
            "phase": str(item.live.phase),
            "why": item.why,
            "usd_per_day": item.per_day,
        }
        for item in found
    ]
    return json.dumps({"version": 1, "prices": source, "orphans": rows}, indent=2, allow_nan=False) + "\n"


def _cost(per_day: float | None) -> str:
    return "price unknown" if per_day is None else f"{per_day:.2f} USD a day" if per_day else "costs nothing"
