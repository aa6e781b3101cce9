"""Drift and orphans as a person reads them: what came from outside git first, then what is only not done yet."""

from __future__ import annotations

import json
from collections.abc import Iterable

from rich.text import Text

from reconciler.core.drift import Difference, Verdict
from reconciler.core.orphans import Orphan
from reconciler.render import words

_STYLES = {Verdict.DRIFTED: "bold red", Verdict.MISSING: "bold red", Verdict.PENDING: "cyan"}


def drift_text(found: Iterable[Difference], *, where: str) -> Text:
    """A line for each difference, below it the fields with what is live and what git says."""
    found = tuple(found)
    text = Text()
    for verdict in Verdict:
        for item in found:
            if item.verdict is verdict:
                what = f"{words.clean(item.address.experiment)} {item.address.role}"
                text.append(f"{verdict:<8}", _STYLES[verdict]).append(f"  {what:<30}  {words.clean(item.why)}".rstrip())
                text.append("\n")
                for field in item.fields:
                    says = f"live {words.value(field.before)}, git {words.value(field.after)}"
                    text.append(f"          {words.clean(field.path)}  {says}\n")
    outside = sum(item.verdict is not Verdict.PENDING for item in found)
    if not outside:
        text.append("no drift", "green").append(f"   {words.clean(where)}\n")
    else:
        text.append(f"{outside} changed outside git, {len(found) - outside} pending.", "bold")
        text.append(f"   {words.clean(where)}: `loraform apply` brings git's values back.\n")
    return text


def drift_json(found: Iterable[Difference], *, where: str) -> str:
    """The same for programs; every key is always there."""
    rows = [
        {
            "experiment": item.address.experiment,
            "role": str(item.address.role),
            "verdict": str(item.verdict),
            "name": item.name,
            "why": item.why,
            "fields": [{"path": field.path, "live": field.before, "git": field.after} for field in item.fields],
        }
        for item in found
    ]
    return json.dumps({"version": 1, "tree": where, "differences": rows}, indent=2, allow_nan=False) + "\n"


def orphans_text(found: Iterable[Orphan]) -> Text:
    """A line for each thing that nobody needs."""
    found = tuple(found)
    if not found:
        return Text("No orphan: all that is live is in git and answers.\n")
    width = max(len(words.clean(item.live.address.experiment)) for item in found)
    text = Text()
    for item in found:
        live = item.live
        text.append(f"{words.clean(live.address.experiment):<{width}}  {live.address.role:<11} {live.phase:<8} ")
        text.append(f"{item.why}  ", "yellow").append(f"{words.clean(live.name)}\n")
    return text.append(f"{len(found)} in all.   `loraform gc` shows how they go.\n", "bold")


def orphans_json(found: Iterable[Orphan]) -> str:
    """The same for programs."""
    rows = [
        {
            "experiment": item.live.address.experiment,
            "role": str(item.live.address.role),
            "name": item.live.name,
            "identity": item.live.stamp,
            "phase": str(item.live.phase),
            "why": item.why,
        }
        for item in found
    ]
    return json.dumps({"version": 1, "orphans": rows}, indent=2, allow_nan=False) + "\n"
