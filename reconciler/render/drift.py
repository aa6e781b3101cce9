"""Drift as a person reads it: what came from outside git first, then what is only not done yet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from rich.text import Text

from reconciler.core.culprits import Caller
from reconciler.core.drift import Difference, Verdict
from reconciler.core.resources import Address
from reconciler.render import words

Callers: TypeAlias = Mapping[tuple[Address, Verdict], Caller]
"""Who made a difference, by where and what it is."""
NOBODY: Callers = MappingProxyType({})
_STYLES = {Verdict.DRIFTED: "bold red", Verdict.MISSING: "bold red", Verdict.PENDING: "cyan"}


def drift_text(found: Iterable[Difference], *, where: str, callers: Callers = NOBODY) -> Text:
    """A line for each difference, below it the fields with what is live and what git says, and who made it so."""
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
                if caller := callers.get((item.address, item.verdict)):
                    text.append(f"          by {words.clean(caller.principal)}: {words.clean(caller.method)}, ")
                    text.append(f"{words.clean(caller.at[:19])}Z\n")
    outside = sum(item.verdict is not Verdict.PENDING for item in found)
    if not outside:
        text.append("no drift", "green").append(f"   {words.clean(where)}\n")
    else:
        text.append(f"{outside} changed outside git, {len(found) - outside} pending.", "bold")
        text.append(f"   {words.clean(where)}: `loraform apply` brings git's values back.\n")
    return text


def drift_json(found: Iterable[Difference], *, where: str, callers: Callers = NOBODY) -> str:
    """The same for programs; every key is always there."""
    rows = [
        {
            "experiment": item.address.experiment,
            "role": str(item.address.role),
            "verdict": str(item.verdict),
            "name": item.name,
            "why": item.why,
            "by": _by(callers.get((item.address, item.verdict))),
            "fields": [{"path": field.path, "live": field.before, "git": field.after} for field in item.fields],
        }
        for item in found
    ]
    return json.dumps({"version": 1, "tree": where, "differences": rows}, indent=2, allow_nan=False) + "\n"


def _by(caller: Caller | None) -> dict[str, str] | None:
    return {"principal": caller.principal, "method": caller.method, "at": caller.at} if caller else None
