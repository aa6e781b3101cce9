"""One training per identity at a time: an object that the trainer creates, renews and removes.

Held by another that still renews it: this run ends at once as a duplicate. Taken over when its holder is surely gone:
the same job started again, a process of this machine that no longer runs, or no renewal for `TTL` seconds by the
storage's clock and none while we watched. A holder that lost the lock learns it from `lost` and must stop.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from images.train.failures import Duplicate, StorageFailed, TrainingFailed
from images.train.storage import Found, PreconditionFailed, Storage

TTL = 90.0
RENEW = 15.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock. `place` tells one process table from another, `token` one start from the next."""

    job: str
    attempt: int
    place: str
    pid: int
    token: str

    def to_json(self) -> bytes:
        """The lock object's content."""
        body = {"version": 1, "job": self.job, "attempt": self.attempt, "place": self.place, "pid": self.pid}
        return json.dumps({**body, "token": self.token}, sort_keys=True).encode()


def this_process(job: str, attempt: int) -> Holder:
    """The holder that this process would be; `job` is the job's resource name, or empty."""
    return Holder(job, attempt, _place(), os.getpid(), f"{os.getpid()}-{time.time_ns()}")


@dataclass(slots=True)
class Lock:
    """A held lock: a context that renews it in a thread until it is left."""

    storage: Storage
    uri: str
    holder: Holder
    generation: int
    renew_every: float
    lost: threading.Event = field(default_factory=threading.Event)
    _leave: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Lock:
        self._thread = threading.Thread(target=self._renew, name="lock", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._leave.set()
        if self._thread is not None:
            self._thread.join()
        if not self.lost.is_set():
            with contextlib.suppress(TrainingFailed):  # A lock that stays is stale after a TTL: no reason to fail now.
                self.storage.delete(self.uri, expected=self.generation)

    def check(self) -> None:
        """Raise `Duplicate` when another process has taken the lock over."""
        if self.lost.is_set():
            raise Duplicate(
                f"duplicate: another process took over {self.uri}",
                "Nothing to do: that process trains the same identity.",
            )

    def _renew(self) -> None:
        while not self._leave.wait(self.renew_every):
            try:
                self.generation = self.storage.write(self.uri, self.holder.to_json(), expected=self.generation)
            except PreconditionFailed:
                found = self.storage.read(self.uri)
                if found is not None and _body(found).get("token") == self.holder.token:
                    self.generation = found.generation  # Our own write, whose answer was lost.
                else:
                    self.lost.set()
                    return
            except TrainingFailed:
                continue  # Unreachable for a moment. Whoever takes over meanwhile is noticed at the next renewal.


def take(
    storage: Storage,
    uri: str,
    holder: Holder,
    *,
    ttl: float = TTL,
    renew_every: float = RENEW,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Lock:
    """Take the lock at `uri`, or raise `Duplicate` at once if a living process holds it."""
    for _ in range(3):
        found = storage.read(uri)
        try:
            if found is None:
                return Lock(storage, uri, holder, storage.write(uri, holder.to_json(), expected=0), renew_every)
            if _body(found).get("token") == holder.token:
                return Lock(storage, uri, holder, found.generation, renew_every)  # Our write, its answer was lost.
            if not _gone(storage, uri, found, holder, ttl, renew_every, clock, sleep):
                raise _duplicate(uri, found)
            generation = storage.write(uri, holder.to_json(), expected=found.generation)
            return Lock(storage, uri, holder, generation, renew_every)
        except PreconditionFailed:
            continue  # Somebody else was faster: look again at what they wrote.
    raise StorageFailed(f"{uri} changes without end", "Run again.")


def _gone(
    storage: Storage,
    uri: str,
    found: Found,
    us: Holder,
    ttl: float,
    renew_every: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> bool:
    body = _body(found)
    if us.job and body.get("job") == us.job:
        return True
    if body.get("place") == us.place and not _runs(body.get("pid")):
        return True
    if clock() - found.updated <= ttl:
        return False
    sleep(2 * renew_every)  # Our clock may be wrong; a holder that lives renews while we look.
    again = storage.read(uri)
    return again is None or again.generation == found.generation


def _duplicate(uri: str, found: Found) -> Duplicate:
    body = _body(found)
    who = body.get("job") or f"process {body.get('pid')}"
    return Duplicate(
        f"duplicate: {who} is training this identity and holds {uri}",
        "Nothing to do: wait for it, or cancel it and run again.",
    )


def _body(found: Found) -> dict[str, Any]:
    try:
        body = json.loads(found.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _place() -> str:
    """Host, boot and process table: the same only where a process id means the same process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        table = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot, table = "", ""
    return f"{socket.gethostname()}/{boot}/{table}"


def _runs(pid: object) -> bool:
    if not isinstance(pid, int):
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
