"""What a gate asks, what it is told, and what it said: the values of judging. Who judges, and when, is in `judging.py`.

The grammar of gates is `schemas/gate.py`'s; here an expression is read already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

GATE = "loraform-gate"
"""The label of a model version that carries a verdict in short."""


@dataclass(frozen=True, slots=True)
class Bound:
    """`metric operator value`, where a relative value is added to the champion's value of the metric."""

    text: str
    """As the manifest has it."""
    metric: str
    operator: str
    value: float
    relative: bool = False
    confidence: float | None = None
    """With which probability it must hold, by a bootstrap over the rows; None: the means are compared."""


@dataclass(frozen=True, slots=True)
class Scores:
    """One score per row for each metric, all lists as long as `rows`."""

    digest: str
    """Of the rows that were scored, as the run record has it."""
    rows: tuple[int, ...]
    """Which of the evaluation rows these are: not every row has an answer to compare."""
    metrics: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Judged:
    """What one bound said. `limit` is the value that was needed, `certainty` the probability that the bound holds."""

    text: str
    passed: bool
    words: str
    value: float | None = None
    limit: float | None = None
    champion: float | None = None
    certainty: float | None = None
    half_width: float | None = None
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate said about the metrics of one run, for one experiment. Said once, and kept."""

    experiment: str
    stamp: str
    """Of the evaluation whose metrics were judged; of the training where there are no rows to evaluate on."""
    gate: str
    """The gate text, as `text_hash` shortens it."""
    passed: bool
    words: str
    champion: str = ""
    """The run that the champion came from; empty when nothing served."""
    digest: str = ""
    """Of the rows that the metrics were measured on."""
    rows: int = 0
    judged: tuple[Judged, ...] = field(default=())
    """Empty for a verdict that was read back from a listing."""
    kept: bool = False
    """It lies in the bucket, or in the label of the model version."""
    imagined: bool = False
    """The forecast made it up: that it is said is foreseen, what it says is not known."""

    @property
    def key(self) -> Key:
        """Under which it is kept and found again."""
        return self.experiment, self.stamp, self.gate

    @property
    def label(self) -> str:
        """The verdict as a label value."""
        return label_of(self.gate, self.stamp, passed=self.passed)


Key: TypeAlias = tuple[str, str, str]
"""(experiment, stamp of the evaluation or the run, hash of the gate text)."""


def text_hash(bounds: tuple[Bound, ...]) -> str:
    """Twelve hex digits for the text of a gate: a verdict holds for exactly one text."""
    lines = (item.text if item.confidence is None else f"{item.text} @ {item.confidence!r}" for item in bounds)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def label_of(gate: str, stamp: str, *, passed: bool) -> str:
    """`passed-<gate>-<measured>` or `failed-...`: which gate said it of which metrics, in the alphabet of labels."""
    return f"{'passed' if passed else 'failed'}-{gate}-{stamp[:12]}"
