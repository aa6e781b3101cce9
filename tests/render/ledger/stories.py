"""A fleet for tests of the ledger: some experiments with a past, and every text as hostile as one likes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.core.changes import FieldChange
from reconciler.core.lineage import Commit, Kind, Point, Row, Run, Share, Step
from reconciler.core.resources import Role
from reconciler.render.ledger.values import Curve, Entry, Fleet, Sample, Shared, Told, Word
from tests.core.builders import fleet as resources

MADE = "2026-11-25T12:00:00Z"
BEGAN = 1_793_750_400.0
GOOD, BAD, BUSY = Word("healthy", "good", "serves"), Word("failed", "bad", "stock-out"), Word("training", "busy", "")


def row(number: int, text: str, kind: Kind = Kind.RUN, of: int = 1, **left: Any) -> Row:
    commit = Commit(f"{number:040x}", f"2026-11-{1 + number % 28:02d}T10:00:00+00:00", text, text)
    fields = (
        FieldChange("adapter.r", 8 * of, 16 * of, "retrain"),
        FieldChange("training.learning_rate", 2e-4, 1e-4, "retrain"),
        FieldChange("model.chat_template", text, text + "!", "retrain"),
    )
    point = Point(commit, "bot", "experiments/bot.yaml", resources(version=of))
    return Row(Step(point, kind, fields, frozenset({Role.TRAINING, Role.MODEL})), **left)


def entry(name: str, text: str = "a plain word", rows: int = 6) -> Entry:
    """An experiment whose newest commit serves 90 %, with metrics beside a champion's, a curve and answers."""
    new, old = (resources(version=n)[0].stamp for n in (2, 1))
    served = tuple(resources(version=n)[3].stamp for n in (1, 2))
    run = Run(
        f"projects/1/locations/r/customJobs/{text}", "trained", 754.0, MADE, {"eval_loss": 0.512}, "", ("stock-out",)
    )
    past = [row(n, text) for n in range(rows, 1, -1)]
    curve = Curve(tuple((float(n), 2.6 / (1 + n / 9)) for n in range(1, 61)), ((20.0, 1.9), (40.0, 1.4), (60.0, 1.2)))
    told = Told(
        "7f3a9c0011", f"rouge_l 0.41 >= champion - 0.01 {text}", True, old, curve, (Sample(text, text, text),) * 3
    )
    return Entry(
        name,
        (row(rows + 1, text, of=2, run=run, version="4", traffic=90, served=(Share(BEGAN, 90),)), *past),
        True,
        owner=text,
        description=text,
        base="meta-llama/Llama-3.1-8B-Instruct",
        health=GOOD,
        sync=Word("in sync", "good", "as git says"),
        endpoint=f"lf-acme-{name}",
        told={new: told, old: Told(gate=text, passed=False)},
        metrics={new: {"eval_loss": 0.512, "rouge_l": 0.41}, old: {"eval_loss": 0.6, "rouge_l": 0.39}},
        costs={new: 0.42, old: 0.4},
        hours={new: 0.21, old: 0.2},
        served=(
            (served[0], (Share(BEGAN, 100), Share(BEGAN + 500_000, 50), Share(BEGAN + 900_000, 10))),
            (served[1], (Share(BEGAN + 500_000, 50), Share(BEGAN + 900_000, 90))),
        ),
    )


def fleet(*entries: Entry, text: str = "a plain word", **others: Any) -> Fleet:
    routes = (("faq", (("support-bot", "90 %"), ("sql-writer", "10 %"))),)
    shared = (Shared("llama-8b", True, text, (("a" * 40, MADE, text, routes), ("b" * 40, MADE, text, ()))),)
    made = Fleet("acme", "prod", "main", "c" * 40, MADE, "", entries, shared, 1234, (text,))
    return replace(made, **others)


def varied() -> Fleet:
    """A small fleet in which something of everything goes on."""
    names = ("acme-support", "faq", "invoice-extractor", "legacy-bot", "sql-writer", "support-bot", "triage")
    made = {name: entry(name, "Raise the rank, since 8 is too few", 5 + 11 * (name == "faq")) for name in names}
    held = Word("held", "bad", "gate: rouge_l 0.37 is below champion - 0.01 = 0.40")
    made["faq"] = replace(made["faq"], health=Word("degraded", "bad", "an older one serves; stock-out"), sync=held)
    made["sql-writer"] = replace(made["sql-writer"], health=BUSY, sync=Word("in progress", "busy", ""))
    made["triage"] = replace(made["triage"], health=BAD, sync=Word("held", "bad", "failed: stock-out"))
    made["legacy-bot"] = replace(made["legacy-bot"], declared=False, health=Word("absent", "idle", ""), owner="")
    return fleet(*made.values(), text="Thirty days of commits")
