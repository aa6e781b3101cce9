"""Where a verb's words go: results to stdout, what goes on meanwhile to stderr, and colour only on a terminal.

On a terminal the line that tells of a wait is rewritten in place; anywhere else it is printed now and then, so that
a log neither floods nor looks dead.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.status import Status
from rich.text import Text

EVERY = 5.0
"""Seconds between two lines about the same wait where there is no terminal."""


class Screen:
    """The two streams of one run of `loraform`."""

    def __init__(
        self,
        out: TextIO | None = None,
        err: TextIO | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = Console(file=out or sys.stdout, highlight=False, markup=False, emoji=False)
        self._err = Console(file=err or sys.stderr, highlight=False, markup=False, emoji=False)
        self._now = now
        self._status: Status | None = None
        self._last = ("", now())

    def show(self, text: Text | str) -> None:
        """A result, as it is: nothing is wrapped and nothing is cut. A trailing newline is not doubled."""
        self._still()
        shown = text if isinstance(text, Text) else Text(text)
        self._out.print(shown, soft_wrap=True, end="" if shown.plain.endswith("\n") else "\n")
        self._out.file.flush()
        self._last = ("", self._now())

    def note(self, text: Text | str) -> None:
        """A line about what goes on; it stays on the screen."""
        self._still()
        shown = text if isinstance(text, Text) else Text(text)
        self._err.print(shown, soft_wrap=True, end="" if shown.plain.endswith("\n") else "\n")
        self._last = ("", self._now())

    def meanwhile(self, text: str) -> None:
        """What is being waited for, called as often as one likes."""
        if self._err.is_terminal:
            if self._status is None:
                self._status = self._err.status("", spinner="dots")
                self._status.start()
            self._status.update(Text(text))
            return
        said, at = self._last
        if text != said and self._now() - at >= EVERY:
            self._err.print(Text(text), soft_wrap=True)
            self._err.file.flush()
            self._last = (text, self._now())

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._still()

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _still(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
