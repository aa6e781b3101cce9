"""The JSON form of a plan, `loraform plan --format json`: what a program may rely on.

Every key is always there. Within a version, keys are only added.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.effects import Effect

Action = Literal["create", "update", "delete", "cancel", "wait", "hold", "noop"]
Phase = Literal["pending", "running", "ready", "failed", "deleting", "unknown"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldChange(_Part):
    """One manifest field before and after."""

    path: str = Field(description="Dotted, as adapter.r.")
    before: Any
    after: Any
    effect: str = Field(description=f"What it brings about: {', '.join(Effect)}.")


class Live(_Part):
    """An object that exists."""

    name: str = Field(description="The API's resource name.")
    identity: str = Field(description="The first 20 hex digits of the identity that it was created with.")
    phase: Phase


class Wanted(_Part):
    """What git wants at the address."""

    identity: str = Field(description="64 hex digits.")
    source: str = Field(description="FILE:LINE:COLUMN of the manifest.")


class Failure(_Part):
    """How something failed. `cause` is a stable name; docs/failures.md lists them all."""

    cause: str
    transient: bool = Field(description="It is tried again by itself.")
    sentence: str
    remedy: str
    message: str = Field(description="The API's own words.")
    evidence: str = Field(description="The line of the log that tells most; empty where none was read.")


class Bound(_Part):
    """What one bound of a gate said; numbers are null where they do not apply."""

    expr: str
    passed: bool
    words: str
    value: float | None
    limit: float | None = Field(description="The value that was needed.")
    champion: float | None = Field(description="The champion's value of the metric.")
    certainty: float | None = Field(description="The probability that the bound holds, where a confidence was asked.")
    half_width: float | None
    warning: str | None


class Verdict(_Part):
    """What a gate said about the metrics of a run."""

    passed: bool
    words: str
    champion: str | None = Field(description="The run that it was compared with, by identity; null for none.")
    eval_digest: str | None
    eval_rows: int
    kept: bool = Field(description="It was said before, and is not said again.")
    bounds: tuple[Bound, ...] = Field(description="Empty for a verdict that was kept.")


class Change(_Part):
    """One decision about one address."""

    experiment: str
    role: Literal["training", "evaluation", "merge", "model", "endpoint", "deployment"]
    kind: str = Field(description="The kind of the API object, as custom_job.")
    action: Action
    reason: str = Field(description="Why: one word or phrase per row of the decision table.")
    detail: str
    before: Live | None = Field(description="The live object that is acted on.")
    after: Wanted | None = Field(description="null when git does not want it.")
    replaces: tuple[Live, ...] = Field(description="Live objects that a create will make obsolete.")
    fields: tuple[FieldChange, ...]
    waits_on: tuple[str, ...] = Field(description="Addresses, as support-bot/training.")
    failure: Failure | None = Field(description="The failure that this decision is about.")
    verdict: Verdict | None = Field(description="Of a gated model or deployment: what its gate says, or said.")


class LastRun(_Part):
    """The newest finished run of the experiment: what the next one may cost."""

    identity: str = Field(description="The first 20 hex digits of its identity.")
    seconds: float
    accelerators: int


class Batch(_Part):
    """The effective batch: world size x per-device batch x accumulation."""

    before: int | None
    after: int | None


class Impact(_Part):
    """What a person will feel of the changes of one experiment, now and later."""

    experiment: str
    runs: int = Field(description="Trainings that start.")
    evaluations: int = Field(description="Evaluations that start in jobs of their own.")
    accelerators: int = Field(description="What they take, over all machines.")
    last_run: LastRun | None
    timeout_seconds: float | None = Field(description="What `run.scheduling.timeout` allows.")
    answers: Literal["go on", "gap", "end", "begin", "none"] = Field(
        description="What becomes of requests: gap = nothing answers until the new deployment is ready."
    )
    address: Literal["kept", "new", "gone", "none"]
    accelerators_beside: int = Field(description="What the new deployment takes while the old one still stands.")
    effective_batch: Batch | None = Field(description="Where it changes.")


class Counts(_Part):
    """How many changes there are of each action, and how many calls will follow later."""

    create: int
    update: int
    delete: int
    cancel: int
    wait: int
    hold: int
    noop: int
    follow: int


class Diagnostic(_Part):
    """One problem in a manifest or in the plan. Line and column count from 1; 0 means the whole file."""

    path: str
    line: int
    column: int
    severity: Literal["error", "warning"]
    rule: str
    message: str
    remedy: str


class Plan(_Part):
    """The whole answer of one pass: what is done now, and what will follow if the world does as imagined."""

    version: Literal[1]
    id: str = Field(pattern=r"^[0-9a-f]{12}$|^$", description="What `loraform apply --expect` takes.")
    target: str
    tree: str = Field(description="Which tree was planned, as main@4be21d; empty when there is no git.")
    in_sync: bool
    counts: Counts
    changes: tuple[Change, ...]
    follow: tuple[Change, ...]
    impacts: tuple[Impact, ...] = Field(description="One for each experiment of which something changes.")
    diagnostics: tuple[Diagnostic, ...]
