"""A fleet -> the files of its site, by relative path. The same fleet gives the same bytes; nothing is read or written.

All text of others goes through `words.clean` and jinja's autoescape; addresses are made of names that were checked.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2

from reconciler.core.lineage import Row
from reconciler.core.resources import Role
from reconciler.render import words
from reconciler.render.ledger.charts import HEIGHT, WIDTH, loss_plot, traffic_bands
from reconciler.render.ledger.values import Entry, Fleet, Shared
from reconciler.render.progress import duration

ROWS = 100
"""Experiments on a page of the overview."""
STEPS = 40
"""Commits on a page of an experiment."""
FIELDS = 40
"""Fields of one commit that are shown."""
MARK = "loraform-ledger.json"
"""The file that says which files of a folder are a ledger's."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_TONES = ("bad", "busy", "good", "idle", "unknown")


def pages(fleet: Fleet) -> Iterator[tuple[str, bytes]]:
    """(path, content) of every file, the list of them last."""
    entries = [entry for entry in sorted(fleet.entries, key=lambda one: one.name) if _NAME.fullmatch(entry.name)]
    shared = [one for one in sorted(fleet.shared, key=lambda one: one.name) if _NAME.fullmatch(one.name)]
    made: list[str] = []
    for path, content in _pages(fleet, entries, shared):
        made.append(path)
        yield path, content
    yield MARK, (json.dumps({"ledger": 1, "files": sorted(made)}, indent=0) + "\n").encode()


def _pages(fleet: Fleet, entries: Sequence[Entry], shared: Sequence[Shared]) -> Iterator[tuple[str, bytes]]:
    for name in ("ledger.css", "ledger.js"):
        yield f"assets/{name}", files(__package__).joinpath("templates", name).read_bytes()
    yield "assets/index.js", _index(entries, shared)
    counts = {
        "health": Counter((entry.health.tone, entry.health.text) for entry in entries if entry.declared),
        "sync": Counter((entry.sync.tone, entry.sync.text) for entry in entries if entry.declared),
    }
    alarms = [entry for entry in entries if "bad" in (entry.health.tone, entry.sync.tone)]
    parts = _parts(entries, ROWS)
    for number, part in enumerate(parts, start=1):
        more = {"alarms": alarms if number == 1 else [], "counts": {key: sorted(counts[key].items()) for key in counts}}
        yield _page("overview", fleet, "", _numbered("index", number), rows=part, page=number, parts=parts, **more)
    endpoints = [entry for entry in entries if entry.endpoint or entry.served]
    parts = _parts(endpoints, ROWS)
    for number, part in enumerate(parts, start=1):
        path = _numbered("endpoints", number)
        yield _page("endpoints", fleet, "", path, rows=part, page=number, parts=parts, shared=shared)
    for entry in entries:
        steps = _parts(entry.rows, STEPS)
        for number, some in enumerate(steps, start=1):
            path = _numbered(f"experiments/{entry.name}", number)
            yield _page("experiment", fleet, "../", path, page=number, parts=steps, **_told(entry, some, number))
        if entry.endpoint or entry.served:
            path = f"endpoints/{entry.name}.html"
            yield _page("endpoint", fleet, "../", path, entry=entry, bands=_bands(fleet, entry), served=_served(entry))
    for one in shared:
        yield _page("shared", fleet, "../", f"endpoints/shared-{one.name}.html", entry=one)


def _told(entry: Entry, rows: Sequence[Row], number: int) -> dict[str, Any]:
    """What a page of an experiment shows; the charts stand on the first one only."""
    newest = next((row for row in entry.rows if row.traffic), entry.rows[0] if entry.rows else None)
    stamp = newest.step.stamp(Role.TRAINING) if newest else ""
    told = entry.told.get(stamp)
    against, named = _against(entry, stamp)
    return {
        "entry": entry,
        "rows": rows,
        "first": number == 1,
        "now": newest,
        "stamp": stamp,
        "told": told,
        "plot": loss_plot(told.curve.loss, told.curve.judged) if told else None,
        "metrics": _compared(entry.metrics.get(stamp, {}), entry.metrics.get(against, {})),
        "against": against,
        "named": named,
        "hours": sum(entry.hours.values()),
        "cost": sum(entry.costs.values()) if entry.costs and len(entry.costs) == len(entry.hours) else None,
    }


def _against(entry: Entry, stamp: str) -> tuple[str, str]:
    """The run that a run is compared with: its gate's champion, else the one that was trained before it."""
    told = entry.told.get(stamp)
    if told and told.champion:
        return told.champion, "champion"
    seen = False
    for row in entry.rows:
        one = row.step.stamp(Role.TRAINING)
        seen = seen or one == stamp
        if seen and one and one != stamp and one in entry.metrics:
            return one, "run before"
    return "", ""


def _compared(own: Mapping[str, float], other: Mapping[str, float]) -> list[tuple[str, float, float | None]]:
    return [(name, own[name], other.get(name)) for name in sorted(own)]


def _bands(fleet: Fleet, entry: Entry) -> Any:
    return traffic_bands(entry.served, datetime.fromisoformat(fleet.made).timestamp())


def _served(entry: Entry) -> list[tuple[str, str, int, str]]:
    """(time, deployment, percent, commit) of every change of traffic, newest first."""
    owners = {row.step.stamp(Role.DEPLOYMENT): row.step.point.commit.id for row in reversed(entry.rows)}
    found = [(share.at, stamp, share.percent) for stamp, shares in entry.served for share in shares]
    return [
        (moment(at), stamp, percent, owners.get(stamp, ""))
        for at, stamp, percent in sorted(found, key=lambda one: (-one[0], one[1]))
    ]


def _index(entries: Sequence[Entry], shared: Sequence[Shared]) -> bytes:
    """What the search looks through. All but ASCII is escaped, and it is a file of its own."""
    found = [
        [entry.name, f"experiments/{entry.name}.html", words.clean(f"{entry.owner} {entry.base}", 80)]
        for entry in entries
    ]
    found += [[one.name, f"endpoints/shared-{one.name}.html", "shared endpoint"] for one in shared]
    return f"window.LEDGER = {json.dumps(found, ensure_ascii=True, separators=(',', ':'))};\n".encode()


def _page(template: str, fleet: Fleet, up: str, path: str, **values: Any) -> tuple[str, bytes]:
    text = _templates().get_template(f"{template}.html.jinja").render(fleet=fleet, up=up, path=path, **values)
    return path, text.encode("utf-8")


def _parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[at : at + size] for at in range(0, len(items), size)] or [()]


def _numbered(stem: str, number: int) -> str:
    return f"{stem}.html" if number == 1 else f"{stem}.{number}.html"


def moment(seconds: float) -> str:
    """RFC 3339 in UTC, to the minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%MZ")


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.PackageLoader("reconciler.render.ledger")
    made = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {
        "clean": lambda text, longest=200: words.clean(str(text), longest),
        "block": lambda text: "\n".join(words.clean(line) for line in str(text)[:4000].split("\n")),
        "value": words.value,
        "effect": words.effect,
        "duration": duration,
        "number": lambda value: words.value(round(value, 4)),
        "stamp": lambda step, role: step.stamp(Role(role)),
        "moved": lambda step, role: Role(role) in step.moved,
        "paged": _numbered,
    }
    made.globals |= {"WIDTH": WIDTH, "HEIGHT": HEIGHT, "FIELDS": FIELDS, "tones": _TONES}
    return made
