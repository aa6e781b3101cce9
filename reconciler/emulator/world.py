"""What every room is given: the store, the clock, the runner of programs, the prober, the settings. Nothing is global.

Also the kinds of answer that a room can give beside a plain message.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from reconciler.emulator.faults import Faults
from reconciler.emulator.quotas import Quotas
from reconciler.emulator.settings import Settings
from reconciler.emulator.store import Store
from reconciler.emulator.wire.codec import Message
from reconciler.emulator.wire.errors import Json
from reconciler.emulator.work.images import Images


@dataclass(frozen=True, slots=True)
class Launch:
    """A program to start: its words, its whole environment, its working folder, and the file that takes its output.

    `container` is the name of the container that the words run, empty for a program of this machine.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path
    log: Path
    container: str = ""


class Runner(Protocol):
    """Runs programs under keys such as `jobs/123/workerpool0-0`. Never blocks."""

    def start(self, key: str, launch: Launch) -> None:
        """Start it. Raises `OSError` when the program cannot be started."""

    def known(self, key: str) -> bool:
        """Whether `start` was called and `forget` was not."""

    def exit_code(self, key: str) -> int | None:
        """None while it runs; negative for a signal."""

    def stop(self, key: str, grace_s: float) -> None:
        """Ask the whole process tree to end, and end it after `grace_s`. May be called again."""

    def gone(self, key: str) -> bool:
        """Whether nothing of its process tree is left."""

    def forget(self, key: str) -> None:
        """Drop what is remembered of a program that is gone."""


@dataclass(frozen=True, slots=True)
class Probing:
    """How often a server that has been healthy is asked, how long it may take, and how many failures in a row count:
    for taking it out of the turns, and for starting it again.
    """

    every_s: float = 10.0
    within_s: float = 10.0
    sick_after: int = 4
    hangs_after: int = 4


class Prober(Protocol):
    """Asks health routes, as long as it is told to. Never blocks."""

    def watch(self, key: str, url: str, probing: Probing) -> None:
        """Begin to ask; does nothing when this key is being watched."""

    def healthy(self, key: str) -> bool:
        """Whether a 200 has been seen since `watch`, and the last answers were no others."""

    def hangs(self, key: str) -> bool:
        """Whether it was healthy once, and lately has not even taken a connection."""

    def forget(self, key: str) -> None:
        """Stop asking."""


class Mounts(Protocol):
    """Local folders that stand for `/gcs/BUCKET`. Never blocks: callers ask again until the answer is True."""

    def folder(self, bucket: str) -> Path:
        """The folder of a bucket."""

    def read(self, uri: str) -> bytes | None:
        """A small object by its `gs://` address; None when it is not there."""

    def show(self, key: str, buckets: Collection[str]) -> bool:
        """Bring the objects of these buckets into their folders, for the program `key`."""

    def give_back(self, key: str) -> bool:
        """Turn what the program `key` has written into objects; `key` uses the folders no more."""


@dataclass(slots=True)
class Turns:
    """Whose turn it is at each endpoint: deployed id -> credit (smooth weighted round robin); and the last replica's
    turn.
    """

    credit: dict[str, dict[str, float]] = field(default_factory=dict)
    turn: int = 0


@dataclass(slots=True)
class Replica:
    """One server of a deployed model; `key` is the runner's name for it.

    `busy` requests are being answered by it, `turn` says when it was chosen last. One that is `leaving` takes no more
    requests and is ended when it is idle, at the latest at `leave_by`.
    """

    key: str
    number: int
    port: int = 0
    started: float = 0.0
    was_ready: bool = False
    ending: bool = False
    crashes: int = 0
    again_at: float = 0.0
    leaving: bool = False
    leave_by: float = 0.0
    busy: int = 0
    turn: int = 0


@dataclass(frozen=True, slots=True)
class World:
    """`clock` gives seconds since 1970. `replicas`: deployment -> number -> replica."""

    store: Store
    clock: Callable[[], float]
    runner: Runner
    prober: Prober
    settings: Settings
    mounts: Mounts
    images: Images = field(default_factory=Images)
    turns: Turns = field(default_factory=Turns)
    replicas: dict[str, dict[int, Replica]] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    quotas: Quotas = field(default_factory=Quotas)
    pause: Callable[[float], None] = lambda seconds: None  # how a delay passes where no HTTP is in between


@dataclass(frozen=True, slots=True)
class Wait:
    """Answer with this operation once it is done, or when `timeout_s` has passed."""

    operation: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Forward:
    """Send `body` to `path` at the first of `replicas` that takes the connection, and answer with what it says.

    There are none for a stub, whose answer is the request itself. `facts` are what a prediction answer tells of the
    deployed model: `deployedModelId`, `model`, `modelVersionId`, `modelDisplayName`.
    """

    replicas: Sequence[Replica]
    path: str
    body: bytes
    content_type: str
    facts: Mapping[str, str]
    raw: bool = False
    wrapped: bool = False
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Plain:
    """An answer that no proto type describes."""

    body: Json


Answer: TypeAlias = "Message | Wait | Forward | Plain"
Method: TypeAlias = Callable[[World, Message], Answer]


def stamp(moment: Message, now: float) -> None:
    """Set a `google.protobuf.Timestamp` to `now`, in microseconds as the service gives them."""
    moment.FromMicroseconds(int(now * 1_000_000))
