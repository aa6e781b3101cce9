"""The lease that serialises applies: one object, taken and renewed with generation preconditions.

The holder renews it every third of its time to live and stops before a mutating call when its last renewal is too old
on its own monotonic clock. A taker waits until the generation stood still for one time to live on *its* clock, so no
two clocks are ever compared. Readers take no lease.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from reconciler.cloud.clock import Clock
from reconciler.cloud.holder import Holder, is_dead_here, this_process
from reconciler.cloud.storage import ABSENT, Storage
from reconciler.core.errors import CloudError, Conflict, NotFound, Refused
from reconciler.core.target import Target

CLOUD_TTL = 60.0
LOCAL_TTL = 15.0
"""On a machine that is busy training, a thread may well be late by seconds."""


@dataclass(frozen=True, slots=True)
class Leased:
    """The lease as the bucket has it."""

    holder: str
    since: float
    """When the holder took it, in seconds since the epoch on the holder's clock; only for people."""
    generation: int


class Lease:
    """A lease that this process holds, renewed in the background until it is released; a context manager."""

    def __init__(self, storage: Storage, name: str, holder: Holder, generation: int, ttl: float, clock: Clock) -> None:
        self.holder = holder
        self.ttl = ttl
        self._storage = storage
        self._name = name
        self._generation = generation
        self._clock = clock
        self._since = clock.now()
        self._renewed = clock.monotonic()
        self._count = 0
        self._lost = ""
        self._lock = threading.Lock()
        self._end: Callable[[], None] = lambda: None

    def start(self) -> Lease:
        """Begin to renew in the background."""
        self._end = self._clock.every(self.ttl / 3, self._keep)
        return self

    def check(self) -> None:
        """Raise Refused when the lease is lost or was not renewed for two thirds of its time to live."""
        if self._lost:
            raise Refused(f"the lease was lost: {self._lost}", "Nothing was done since. Run apply again.")
        age = self._clock.monotonic() - self._renewed
        if age > self.ttl * 2 / 3:
            raise Refused(f"the lease was not renewed for {age:.0f} s", "Is the bucket reachable? Run apply again.")

    def renew(self) -> None:
        """Renew once. Losing it is remembered for `check`; a bucket out of reach is tried again next time."""
        with self._lock:
            # The age counts from before the request: the bucket may have seen it at any time after.
            asked = self._clock.monotonic()
            self._count += 1
            content = _content(self.holder, self._since, self.ttl, self._count)
            try:
                self._generation = self._storage.write(self._name, content, generation=self._generation)
                self._renewed = asked
            except Conflict:
                self._lost = "somebody took it over or unlocked it"
            except CloudError:
                return

    def release(self) -> None:
        """Stop renewing and give the lease back. Harmless when it is lost already."""
        self._end()
        with self._lock:
            if self._lost:
                return
            self._lost = "it was released"
            try:
                self._storage.delete(self._name, self._generation)
            except CloudError:
                return

    def abandon(self) -> None:
        """Stop renewing and leave the lease where it is: it lapses by itself."""
        self._lost = "it was abandoned"
        self._end()

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, Exception):
            self.release()
        else:
            # Interrupted with calls in flight: whoever comes next has to wait until they have surely arrived.
            self.abandon()

    def _keep(self) -> None:
        if not self._lost:
            self.renew()


def acquire(
    storage: Storage,
    target: Target,
    clock: Clock | None = None,
    *,
    ttl: float | None = None,
    patience: float | None = None,
    stop: threading.Event | None = None,
) -> Lease:
    """Take the lease; wait for a living holder up to `patience` seconds (default: one and a half times to live).

    A holder that does not renew is taken over; on the local target one whose process on this host has ended is taken
    over at once. Raises Refused, with the holder's name, when the lease stays taken.
    """
    clock = clock or Clock()
    ttl = ttl or (LOCAL_TTL if target.local else CLOUD_TTL)
    holder = this_process()
    name = _name(target)
    end = clock.monotonic() + (1.5 * ttl if patience is None else patience)
    watched, since = ABSENT, clock.monotonic()
    while True:
        leased = current(storage, target)
        generation = leased.generation if leased else ABSENT
        if generation != watched:
            watched, since = generation, clock.monotonic()
        idle = clock.monotonic() - since
        if leased is None or idle >= ttl or (target.local and is_dead_here(leased.holder)):
            asked = clock.monotonic()
            try:
                taken = storage.write(name, _content(holder, clock.now(), ttl, 0), generation=generation)
            except Conflict:
                continue
            lease = Lease(storage, name, holder, taken, ttl, clock)
            lease._renewed = asked
            return lease.start()
        if clock.monotonic() >= end or (stop is not None and stop.is_set()):
            raise Refused(
                f"{leased.holder} is applying to {target.name}",
                f"Wait for it, or, if that process is surely gone: loraform unlock {leased.holder}",
            )
        clock.sleep(min(1.0, ttl / 10))


def current(storage: Storage, target: Target) -> Leased | None:
    """The lease as it stands; None when nobody holds it."""
    try:
        content, generation = storage.read(_name(target))
    except NotFound:
        return None
    try:
        fields = json.loads(content)
        return Leased(str(fields["holder"]), float(fields["since"]), generation)
    except (ValueError, KeyError, TypeError):
        return Leased("somebody unreadable", 0.0, generation)


def unlock(storage: Storage, target: Target, holder: str) -> None:
    """Remove the lease of `holder` by force. Raises Refused when it is somebody else's, NotFound never."""
    leased = current(storage, target)
    if leased is None:
        return
    if leased.holder != holder:
        raise Refused(f"the lease is held by {leased.holder}, not by {holder}", f"loraform unlock {leased.holder}")
    try:
        storage.delete(_name(target), leased.generation)
    except Conflict as error:
        raise Refused(f"{holder} is alive: it renewed the lease just now") from error


def _content(holder: Holder, since: float, ttl: float, count: int) -> bytes:
    return json.dumps({"holder": str(holder), "since": since, "ttl": ttl, "renewals": count}, sort_keys=True).encode()


def _name(target: Target) -> str:
    return f"{target.folder.removeprefix(f'gs://{target.bucket}/')}/lease.json"
