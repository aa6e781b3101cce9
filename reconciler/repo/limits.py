"""What a manifest may say and this version does not do yet. Nothing that is written is silently ignored.

An entry goes when its feature comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reconciler.core.errors import Severity
from schemas.experiment import Experiment


class Limit(NamedTuple):
    """A field whose value cannot be obeyed, and the way out."""

    path: str
    message: str
    remedy: str
    severity: Severity = Severity.ERROR


def not_yet(experiment: Experiment) -> Iterator[Limit]:
    """The fields of a valid manifest whose feature this version lacks, beside those that `schemas.rules` refuses."""
    evaluation = experiment.evaluation
    if evaluation.max_samples is not None:
        yield _limit("evaluation.max_samples", "scoring a sample of the rows", "name a smaller file as data.eval")


def _limit(path: str, what: str, remedy: str = "") -> Limit:
    return Limit(path, f"{what} is not possible yet", remedy or f"leave `{path}` out")
