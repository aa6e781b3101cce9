"""SIGTERM and SIGINT: at once where nothing is lost, and after the step that is being made where a checkpoint can be.

A machine that is taken away gives half a minute's notice. A step that takes longer than `PATIENCE_S` is given up.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

PATIENCE_S = 20


class Signalled(BaseException):
    """A signal, raised where no library's `except Exception` can swallow it."""


@dataclass(slots=True)
class Notice:
    """Whether a signal came; `came` is its name, or empty."""

    came: str = ""
    _deferred: bool = False

    def listen(self) -> None:
        """Take SIGTERM and SIGINT from now on, and SIGALRM, which ends the patience."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, self._hear)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Within it a signal is only noted, for so long as the patience goes; then, and at a second one, it is raised.

        A signal that came and was not acted upon is raised at the end.
        """
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
            signal.alarm(0)
        if self.came:
            raise Signalled(self.came)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._deferred and not self.came and number != signal.SIGALRM:
            self.came = signal.Signals(number).name
            signal.alarm(PATIENCE_S)
            return
        raise Signalled(self.came or signal.Signals(number).name)
