"""The nouns of Loraform: what git declares, what is live, and what may differ.

Every value here is frozen and holds only JSON-like data, so that a plan can be compared, hashed, printed and
replayed. Nothing in this module decides anything; the planner does (`plan.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, TypeAlias, Union

from reconciler.core.causes import Cause as Cause
from reconciler.core.verdict import Bound, Key, Scores, Verdict, text_hash

Json: TypeAlias = Union[bool, int, float, str, Sequence["Json"], Mapping[str, "Json"], None]

EMPTY: Mapping[str, Json] = MappingProxyType({})
SHORT = 20
"""Hex digits of an identity that a label carries (`behaviour.md`, section 1)."""


class Role(StrEnum):
    """What a thing is to its experiment. The order is the order in which an experiment comes to life."""

    TRAINING = "training"
    EVALUATION = "evaluation"
    MERGE = "merge"
    MODEL = "model"
    ENDPOINT = "endpoint"
    DEPLOYMENT = "deployment"

    __hash__ = str.__hash__
    """An enum hashes its name, in Python: half the time of indexing a large fleet by address."""


RUNS = (Role.TRAINING, Role.EVALUATION, Role.MERGE)
"""What is carried out by a job and is done once: its record counts, and not the job."""


class Phase(StrEnum):
    """Where a live thing is in its life; backends translate every API state into one of these."""

    PENDING = "pending"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"
    UNKNOWN = "unknown"


class Address(NamedTuple):
    """Git's name for a thing: it survives every replacement of the live object.

    A named tuple, since a large fleet is looked up by address a million times: it hashes and compares in C.
    """

    experiment: str
    role: Role

    def __str__(self) -> str:
        return f"{self.experiment}/{self.role}"


@dataclass(frozen=True, slots=True)
class Ref:
    """A value that is known only once another resource is ready: one of its outputs."""

    address: Address
    output: str


Value: TypeAlias = Union[Json, Ref, Sequence["Value"], Mapping[str, "Value"]]


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Where git declares something. Lines and columns count from 1; 0 means the whole file."""

    path: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join([self.path, *(str(n) for n in (self.line, self.column) if n)])


@dataclass(frozen=True, slots=True)
class Declared:
    """A field as the manifest gives it, with its one declared effect (a word of `schemas.effects.Effect`)."""

    value: Json
    effect: str
    default: Json = None
    """What leaving the field out would mean."""


@dataclass(frozen=True, slots=True, order=True)
class Upload:
    """A file of the repository that must stand in the bucket, under its content hash, before a create."""

    path: str
    uri: str
    sha256: str = ""
    """Of this file, where known: apply refuses to upload one that was edited since its hash went into the URI."""


@dataclass(frozen=True, slots=True)
class Gate:
    """The bounds that the metrics of a finished training must keep before a deployment."""

    bounds: tuple[Bound, ...]
    metrics_of: Address
    sources: tuple[Source, ...] = field(default=(), compare=False)
    """Where each bound stands."""

    @property
    def text(self) -> str:
        """The gate text in short: a verdict holds for exactly one."""
        return text_hash(self.bounds)


@dataclass(frozen=True, slots=True)
class Rollout:
    """How a new deployment takes over from an older one."""

    steps: tuple[int, ...] = (100,)
    """Shares of the traffic in percent, rising."""
    hold: float = 0.0
    """The shortest time between two steps, in seconds."""
    recreate: bool = False
    """The older one goes first: no second machine is needed, and nothing answers meanwhile."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One way of carrying out a run: on which kind of capacity, and where."""

    strategy: str
    """`standard`, `spot` or `flex_start`."""
    region: str
    output: str = ""
    """The gs:// folder that Vertex AI is told to write to: in a bucket of the region."""


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that git wants to exist.

    `spec` holds the settings that can be read back from the live object and changed in place; `fields` the
    manifest fields behind this resource, for explanation; `body` the API body of the create call, with `Ref`s.
    """

    address: Address
    kind: str
    identity: str
    """64 hex digits; another identity means another object."""
    attempt_key: str = ""
    """Hash of the attempt number and the settings of a try: a failed try is repeated when it changes."""
    spec: Mapping[str, Json] = field(default_factory=dict)
    fields: Mapping[str, Declared] = field(default_factory=dict)
    body: Mapping[str, Value] = field(default_factory=dict)
    depends_on: tuple[Address, ...] = ()
    uploads: tuple[Upload, ...] = ()
    once: bool = False
    """A run rather than a thing: it is done when its run record exists."""
    evaluates: str = ""
    """Of a training: the stamp of the evaluation that its job carries out as well; its run record is both's."""
    lets_finish: bool = False
    """A run of an older identity is left to finish instead of being cancelled (`on_change: finish`)."""
    exclusive: bool = False
    """Its name is taken by any other identity at the address: old and new cannot stand side by side."""
    collides: bool = False
    """Its API name follows from its identity: a second create collides instead of making a second object."""
    born: Mapping[str, Json] = field(default_factory=dict)
    """The settings in `spec` that a create cannot give and that start otherwise (`{"traffic": 0}`)."""
    accelerators: int = 0
    runs: int = 1
    """Of a training: how many a start of it starts, the trials of a sweep."""
    """GPUs or TPUs that its creation takes at once, over all replicas."""
    timeout: float = 0.0
    """How long a run may take, in seconds; 0 where the manifest sets no limit."""
    rungs: tuple[Rung, ...] = ()
    """The ways of carrying out a run, in the order in which they are tried; empty for a thing."""
    gate: Gate | None = None
    rollout: Rollout | None = None
    protect: bool = False
    named: str = ""
    """The id that its create asks for; empty where the service chooses one."""
    moved_from: tuple[str, ...] = ()
    """The names that its experiment had before."""
    adopts: str = ""
    """The id or name of a live thing made by others that it goes on with."""
    source: Source = Source("")

    @property
    def stamp(self) -> str:
        """The identity as labels carry it."""
        return self.identity[:SHORT]

    @property
    def claim_key(self) -> str:
        """Under which a snapshot has its claim."""
        return claim_key(self.stamp, self.address)

    @property
    def claim_name(self) -> str:
        """What the object of its claim is called."""
        return claim_key(self.identity, self.address)


@dataclass(frozen=True, slots=True)
class Failure:
    """How something ended that did not succeed."""

    cause: Cause
    message: str
    """The API's own words."""
    evidence: str = ""
    """The line of the log that gave the cause away, where one did."""


@dataclass(frozen=True, slots=True)
class LiveResource:
    """Something of ours that exists. One address may have several: old and new coexist, runs are history."""

    address: Address
    kind: str
    name: str
    """The API's resource name; for a deployment `<endpoint name>#<deployed model id>`."""
    stamp: str
    """The first 20 hex digits of the identity that it was created with."""
    phase: Phase
    spec: Mapping[str, Json] = field(default_factory=dict)
    """The readable settings. A field of the desired spec that is absent here is compared by identity only."""
    outputs: Mapping[str, Json] = field(default_factory=dict)
    failure: Failure | None = None
    attempt_key: str = ""
    since: float = 0.0
    """When it entered this phase, in seconds since the epoch."""
    created: float = 0.0
    """When it was created, in seconds since the epoch."""
    stepped: float = 0.0
    """When its share of the traffic was last changed, in seconds since the epoch, as far as a label tells."""
    tries: int = 1
    """How many times this was tried under its attempt key, as far as a claim tells."""
    rung: int = 0
    """The rung of its ladder that this run was tried on, as far as a label or a claim tells."""
    etag: str = ""
    history: bool = False
    """It is a trace of what was (a registered model, a finished run, a failed deploy operation): never deleted."""
    protect: bool = False
    suspended: bool = False
    in_use: str = ""
    """Why it cannot be deleted: somebody else's things depend on it."""
    declared: Mapping[str, Json] = field(default_factory=dict)
    """The manifest fields that were declared when it was last written, where its claim still tells."""
    adopted_from: str = ""
    """What its labels still say instead of its address (a former name of the experiment); empty when they agree."""


@dataclass(frozen=True, slots=True)
class Record:
    """A finished run: this object in the bucket is what "trained" means, or "evaluated"."""

    stamp: str
    outputs: Mapping[str, Json] = field(default_factory=dict)
    """`artifact_uri` (gs://), `artifact_digest`, `job`, `experiment`; of an evaluation by itself also `scores_uri`."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    eval_digest: str = ""
    """Of the rows that the metrics were measured on; empty where nobody wrote it down."""
    eval_rows: int = 0
    pruned: bool = False
    since: float = 0.0
    """When it was last written, so when it was pruned, in seconds since the epoch; 0 where nobody knows."""
    seconds: float = 0.0
    """How long the run took; known of pruned ones, of which a plan may want to tell."""
    imagined: bool = False
    """The forecast made it up: its metrics are not known, so no gate is judged by it."""
    of: str = ""
    """Of an evaluation: the stamp of the training whose artifact was measured. Empty for a training."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A create that the API refused, or whose operation failed."""

    at: float
    """Seconds since the epoch."""
    failure: Failure
    rung: int = 0
    attempt_key: str = ""
    """Of whoever tried: experiments that share a run may be at different attempts."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody is about to create the object with this identity, or just did (`behaviour.md`, section 3).

    Equal experiments share a run, so its claim is one for all of them; everything else has one by experiment.
    """

    stamp: str
    address: Address
    at: float
    """When it was written, in seconds since the epoch."""
    by: str
    attempt_key: str = ""
    generation: int = 0
    refusals: tuple[Refusal, ...] = ()
    """Creates of which nothing came, oldest first: of a thing under this attempt key, of a run under any."""
    object: str = ""
    """The resource name of what was adopted in place of a create: it is not called as a create would call it."""

    @property
    def key(self) -> str:
        """Under which a snapshot has it."""
        return claim_key(self.stamp, self.address)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is live, as one pass saw it."""

    live: tuple[LiveResource, ...] = ()
    records: Mapping[str, Record] = field(default_factory=dict)
    """By stamp. Records belong to an identity, not to an experiment: a revert or a copy finds them again."""
    claims: Mapping[str, Claim] = field(default_factory=dict)
    """By `Claim.key`: of a run its stamp."""
    verdicts: Mapping[Key, Verdict] = field(default_factory=dict)
    """What gates have said; read only where git has a gate."""
    scores: Mapping[str, Scores] = field(default_factory=dict)
    """By stamp of the run; read only where a gate is about to judge by them."""
    barred: Mapping[Address, str] = field(default_factory=dict)
    """Why something that git wants adopted cannot be."""


def claim_key(identity: str, address: Address) -> str:
    """What tells one claim from another: a run by its identity, everything else by its experiment too."""
    return identity if address.role in RUNS else f"{identity}-{address.experiment}"
