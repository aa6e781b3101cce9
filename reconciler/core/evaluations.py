"""Which evaluations count: a run record's own, and those that were made later of the very artifact that it names.

An evaluation is found by its own identity, whether it was a part of the training or a job of its own. One of an
artifact that is gone, or that was trained again since, says nothing about what would serve.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from reconciler.core.resources import SHORT, Record

EVALUATES, DIGEST = "evaluation", "artifact_digest"
"""Outputs of a record: the evaluation that a run record is as well, and which artifact was measured."""


def with_evaluations(runs: Mapping[str, Record], evaluations: Iterable[Record]) -> dict[str, Record]:
    """All records by stamp: of `runs` (by stamp), of what those evaluated, and of `evaluations` by themselves."""
    found = dict(runs)
    for item in evaluations:
        run = runs.get(item.of)
        if run is not None and not run.pruned and run.outputs.get(DIGEST) == item.outputs.get(DIGEST):
            found[item.stamp] = item
    for run in runs.values():
        stamp = str(run.outputs.get(EVALUATES) or "")[:SHORT]
        if stamp and not run.pruned:
            found[stamp] = replace(run, stamp=stamp, of=run.stamp)
    return found
