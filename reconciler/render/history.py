"""The history of an experiment, commit by commit, newest first: for people, for pull requests, for programs.

Whatever git or the cloud says is somebody's text: it is cleaned before it is printed, in JSON escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from reconciler.core.lineage import Kind, Row, Run
from reconciler.core.resources import Role
from reconciler.render import words
from reconciler.render.progress import duration

SHOWN = 7
"""Hex digits of a commit that are shown."""
RUN_SHOWN = 6
SUBJECT = 72
VERSION = 1

_STYLES = {
    Kind.NEW: "green", Kind.RUN: "yellow", Kind.VERSION: "yellow", Kind.ROLL: "yellow", Kind.TRY: "yellow",
    Kind.REMOVED: "red", Kind.UNREADABLE: "bold red",
}  # fmt: skip


def history_text(rows: Iterable[Row]) -> Text:
    """A line for each commit; below it what is left of its run and its model, and the fields that it changed."""
    rows = tuple(rows)
    author = min(max((len(words.clean(row.step.point.commit.author)) for row in rows), default=0), 20)
    text = Text()
    for row in rows:
        commit, kind = row.step.point.commit, _kind(row)
        text.append(commit.id[:SHOWN], "bold").append(f"  {_day(row)}  {words.clean(commit.author, 20):<{author}}  ")
        text.append(f"{kind:<20}", _STYLES.get(row.step.kind, "")).append(f"  {words.clean(commit.subject, SUBJECT)}\n")
        for line in _lines(row):
            text.append(f"         {line}\n")
    return text


def history_markdown(name: str, rows: Iterable[Row]) -> str:
    """The same as a table for a page or a pull request."""
    lines = [
        f"### History of {_cell(name)}",
        "",
        "| commit | date | author | what | run | metrics | model | traffic now |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        commit = row.step.point.commit
        cells = (
            f"`{commit.id[:SHOWN]}` {_cell(commit.subject, SUBJECT)}",
            _day(row),
            _cell(commit.author),
            _kind(row),
            _cell(_run(row)),
            _cell(_metrics(row.run)),
            _cell(row.version),
            f"{row.traffic} %" if row.traffic else "",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def history_json(name: str, rows: Iterable[Row]) -> str:
    """The same for programs: every key is always there, identities are whole."""
    document = {"version": VERSION, "experiment": name, "commits": [row_document(row) for row in rows]}
    return json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def row_document(row: Row) -> dict[str, Any]:
    """One commit as JSON values. Times are RFC 3339, durations seconds, traffic percent."""
    step, run = row.step, row.run
    point = step.point
    return {
        "commit": point.commit.id,
        "date": point.commit.at,
        "author": point.commit.author,
        "subject": point.commit.subject,
        "experiment": point.experiment,
        "path": point.path,
        "kind": str(step.kind),
        "reused": step.again,
        "problem": point.problem,
        "fields": [
            {"path": item.path, "before": item.before, "after": item.after, "effect": item.effect}
            for item in step.fields
        ],
        "identities": {str(item.address.role): item.identity for item in point.resources},
        "run": None
        if run is None
        else {
            "job": run.job,
            "phase": run.phase,
            "seconds": run.seconds,
            "finished": run.finished,
            "metrics": {key: value for key, value in run.metrics.items() if value == value},
            "place": run.place,
            "tries": list(run.tries),
        },
        "model_version": row.version,
        "model_commit": row.labelled,
        "traffic": row.traffic,
        "served": [{"at": _moment(share.at), "traffic": share.percent} for share in row.served],
    }


def _lines(row: Row) -> Iterator[str]:
    step = row.step
    if step.point.problem:
        yield words.clean(step.point.problem)
        return
    if Role.TRAINING in step.moved or step.kind is Kind.TRY:
        run = _run(row)
        if run:
            yield "  ".join(part for part in (f"run {run}", _metrics(row.run)) if part)
    facts = [f"model version {words.clean(row.version)}"] if row.version and Role.MODEL in step.moved else []
    facts += [f"answers {row.traffic} % of all requests"] if row.traffic else []
    facts += [f"answered {_then(row)}"] if row.served else []
    if facts:
        yield ", ".join(facts)
    for change in step.fields:
        effect = words.effect(change.effect)
        note = f"  ({effect})" if effect else ""
        yield f"{words.clean(change.path)}  {words.difference(change)}{note}"


def _run(row: Row) -> str:
    stamp = row.step.stamp(Role.TRAINING)[:RUN_SHOWN]
    run = row.run
    if not stamp or row.step.kind is Kind.UNREADABLE:
        return ""
    if run is None:
        return stamp
    job = words.clean(run.job.rsplit("/", 1)[-1])
    tries = f"after {', '.join(run.tries)}" if run.tries and run.phase != "failed" else ", ".join(run.tries)
    parts = [
        run.phase,
        f"in {duration(run.seconds)}" if run.seconds else "",
        f"on {words.clean(run.place)}" if run.place else "",
        words.clean(tries),
        f"job {job}" if job else "",
    ]
    return f"{stamp} {' '.join(part for part in parts if part)}"


def _then(row: Row) -> str:
    """What it was given in its time: `10 % from 2026-11-02, 100 % from 2026-11-03, none from 2026-11-06`."""
    return ", ".join(
        f"{share.percent or 'none'}{' %' * bool(share.percent)} from {_moment(share.at)[:10]}" for share in row.served
    )


def _metrics(run: Run | None) -> str:
    if run is None:
        return ""
    return ", ".join(f"{words.clean(key)} {words.value(round(run.metrics[key], 4))}" for key in sorted(run.metrics))


def _kind(row: Row) -> str:
    return "run reused" if row.step.again and row.step.kind is Kind.RUN else str(row.step.kind)


def _day(row: Row) -> str:
    return words.clean(row.step.point.commit.at[:10])


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _cell(text: str, longest: int | None = None) -> str:
    """Text that stays in its cell and is no markup."""
    shown = words.clean(text, longest)
    for character in "\\`|<>[]*_":
        shown = shown.replace(character, f"\\{character}")
    return shown


def answering_text(name: str, rows: Sequence[Row], strange: Sequence[tuple[str, int]]) -> Text:
    """Which commits answer the requests of an experiment right now, the largest share first."""
    text = Text(f"{words.clean(name)}\n", "bold")
    for row in sorted(rows, key=lambda row: -(row.traffic or 0)):
        commit = row.step.point.commit
        text.append(f"  {row.traffic:>3} %  ").append(commit.id[:SHOWN], "bold")
        text.append(f"  {_day(row)}  {words.clean(commit.author, 20)}  {words.clean(commit.subject, SUBJECT)}\n")
        facts = [
            f"run {_run(row)}",
            f"model version {words.clean(row.version)}" if row.version else "",
            _metrics(row.run),
        ]
        text.append(f"         {'  '.join(fact for fact in facts if fact)}\n")
        if row.labelled:
            text.append(f"         its model was last written from commit {words.clean(row.labelled)[:SHOWN]}\n")
    for stamp, share in strange:
        text.append(f"  {share:>3} %  ").append(words.clean(stamp)[:RUN_SHOWN], "bold red")
        text.append("  no commit of this branch wants what answers here\n")
    return text


def answering_json(name: str, rows: Iterable[Row], strange: Iterable[tuple[str, int]]) -> str:
    """The same for programs."""
    document = {
        "version": VERSION,
        "experiment": name,
        "answers": [row_document(row) for row in rows],
        "unexplained": [{"identity": stamp, "traffic": share} for stamp, share in strange],
    }
    return json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
