"""Runs programs on this machine, each as a process group of its own, and ends whole trees. Implements `Runner`.

Remembers every start in the store, so that the next server can end what a killed one left behind. A program that has
ended is not reaped before its group is ended: until then the kernel gives its id, and so the group's, to nobody else.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from reconciler.emulator.store import Row, Store
from reconciler.emulator.work.docker import removal, remove_marked
from reconciler.emulator.work.leftovers import end_leftovers, marked, signal_tree, started_at
from reconciler.emulator.work.logs import note_growth
from reconciler.emulator.world import Launch

KIND = "process"


@dataclass(slots=True)
class _Running:
    child: subprocess.Popen[bytes]
    launch: Launch
    mark: str
    noted: int = 0
    kill_at: float = 0.0
    removal: subprocess.Popen[bytes] | None = None
    removed_last: bool = False


@dataclass(slots=True)
class Processes:
    """Local programs by key. `mark` is the server's mark; each program carries `mark/key`.

    A container is the program that runs it in the foreground, and what `docker` removes once that has ended.
    """

    store: Store
    clock: Callable[[], float]
    mark: str
    docker: str = ""
    running: dict[str, _Running] = field(default_factory=dict)

    def clear_leftovers(self) -> int:
        """End what an earlier server with this store left behind. Returns how many processes."""
        recorded = {int(row.extra["pid"]): str(row.extra["started"]) for row in self.store.every(KIND)}
        ended = end_leftovers(self.mark, recorded)
        if self.docker:
            ended += remove_marked(self.docker, self.mark)
        for row in self.store.every(KIND):
            self.store.drop(KIND, row.name)
        return ended

    def start(self, key: str, launch: Launch) -> None:
        """Start a program. Raises `OSError` when it cannot be started."""
        launch.folder.mkdir(parents=True, exist_ok=True)
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        with launch.log.open("ab") as log:
            child = subprocess.Popen(
                launch.argv,
                cwd=launch.folder,
                env=dict(launch.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.running[key] = _Running(child, launch, f"{self.mark}/{key}")
        self.store.drop(KIND, key)
        self.store.add(Row(KIND, key, "", b"", {"pid": child.pid, "started": started_at(child.pid)}))

    def known(self, key: str) -> bool:
        """Whether this key was started and not forgotten."""
        return key in self.running

    def exit_code(self, key: str) -> int | None:
        """None while it runs."""
        one = self.running[key]
        one.noted = note_growth(one.launch.log, one.noted, self.clock())
        return _ended(one.child)

    def stop(self, key: str, grace_s: float) -> None:
        """SIGTERM to the whole tree at the first call, SIGKILL once `grace_s` has passed."""
        one = self.running[key]
        now = time.monotonic()
        if not one.kill_at:
            one.kill_at = now + grace_s
            _signal(one, signal.SIGTERM)
        elif now >= one.kill_at:
            one.kill_at = now + 1.0
            if not self._removing(one):  # its container first: the program that shows it ends with it
                _signal(one, signal.SIGKILL)

    def gone(self, key: str) -> bool:
        """Whether the program and all that it started have ended. Ends what the program left behind once it is over."""
        one = self.running[key]
        if _ended(one.child) is None or self._removing(one):
            return False
        _end_group(one.child)
        for pid in marked(one.mark):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return not any(True for _ in marked(one.mark))

    def forget(self, key: str) -> None:
        """Drop a program that is gone, with its working folder: a container's own files end with it, its log stays."""
        one = self.running.pop(key)
        shutil.rmtree(one.launch.folder, ignore_errors=True)
        note_growth(one.launch.log, one.noted, self.clock())
        self.store.drop(KIND, key)

    def end_all(self, grace_s: float) -> None:
        """End everything, and wait for it: at most `grace_s`, then by force. Blocks; touches no store."""
        all_of_them = list(self.running.values())  # others may be started and forgotten meanwhile
        for one in all_of_them:
            _signal(one, signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline and any(_ended(one.child) is None for one in all_of_them):
            time.sleep(0.02)
        for one in all_of_them:
            while self._removing(one):
                time.sleep(0.02)
            _signal(one, signal.SIGKILL)
            one.child.wait()

    def forget_all(self) -> None:
        """Drop everything, after `end_all`."""
        for key in list(self.running):
            self.forget(key)

    def _removing(self, one: _Running) -> bool:
        """Whether a container is still being removed. Begins it, and once more when the program has ended: a container
        that was just being made is found then.
        """
        if not one.launch.container or not self.docker:
            return False
        if one.removal is not None and one.removal.poll() is None:
            return True
        ended = _ended(one.child) is not None
        if one.removal is not None and (one.removed_last or not ended):
            return False
        one.removed_last, silent = ended, subprocess.DEVNULL
        words = removal(self.docker, one.launch.container)
        one.removal = subprocess.Popen(words, stdin=silent, stdout=silent, stderr=silent)
        return True


def _ended(child: subprocess.Popen[bytes]) -> int | None:
    """The exit code of a program that has ended, without reaping it; negative for a signal."""
    if child.returncode is not None or not hasattr(os, "waitid"):
        return child.poll()
    try:
        found = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return child.poll()
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the group of a program that has ended, and only then let go of its id."""
    if child.returncode is None:
        with suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _signal(one: _Running, number: signal.Signals) -> None:
    signal_tree(one.child.pid, one.mark, number, group_lives=one.child.returncode is None)
