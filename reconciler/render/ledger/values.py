"""What a ledger tells, as values: git's part is always there, the cloud's only where it could be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from reconciler.core.lineage import Row, Share


@dataclass(frozen=True, slots=True)
class Word:
    """A judgement in a word or two, what kind it is (`good`, `busy`, `bad`, `idle`, `unknown`), and why."""

    text: str
    tone: str
    why: str = ""


UNASKED = Word("unknown", "unknown", "the cloud was not asked")


@dataclass(frozen=True, slots=True)
class Curve:
    """(step, loss) while a run learnt, and on held-out rows."""

    loss: tuple[tuple[float, float], ...] = ()
    judged: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """What a tuned model answered to a held-out prompt, beside what was expected."""

    prompt: str
    expected: str
    answer: str


@dataclass(frozen=True, slots=True)
class Told:
    """What is left of one training beside its `Run`."""

    plan: str = ""
    gate: str = ""
    """What its gate said; empty where none judged it."""
    passed: bool | None = None
    champion: str = ""
    """The run that it was compared with."""
    curve: Curve = Curve()
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One experiment: its commits, newest first, and how it is now."""

    name: str
    rows: tuple[Row, ...]
    declared: bool
    owner: str = ""
    description: str = ""
    base: str = ""
    health: Word = UNASKED
    sync: Word = UNASKED
    endpoint: str = ""
    told: Mapping[str, Told] = field(default_factory=dict)
    """By the training's stamp."""
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Of any run of the fleet that it may be compared with, by stamp."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """USD of a run, by stamp, where all prices are known."""
    hours: Mapping[str, float] = field(default_factory=dict)
    """Accelerator hours of a run, by stamp."""
    served: tuple[tuple[str, tuple[Share, ...]], ...] = ()
    """(stamp of the deployment, its shares), in the order in which they first served."""


Routes: TypeAlias = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
"""(public name, ((experiment, its share in words), ...))."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A shared endpoint: what each commit that changed its routes declared, oldest first."""

    name: str
    declared: bool
    base: str
    routes: tuple[tuple[str, str, str, Routes], ...]
    """(commit, time, subject, routes), oldest first."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The whole ledger of one target."""

    name: str
    target: str
    branch: str
    commit: str
    made: str
    """When, RFC 3339."""
    unasked: str
    """Why the cloud was not asked; empty where it was."""
    entries: tuple[Entry, ...]
    shared: tuple[Shared, ...] = ()
    commits: int = 0
    notes: tuple[str, ...] = ()
