"""Which images are on this machine: Docker is asked beside everything else, and believed for a moment.

Never blocks: a daemon that thinks for long keeps nobody waiting but the job that needs the image.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

ASK_S, FRESH_S = 60.0, 5.0


@dataclass(slots=True)
class _Asked:
    """One question: its process until there is an `answer`, given `at`."""

    child: subprocess.Popen[bytes] | None
    since: float
    answer: bool | None = None
    at: float = 0.0


@dataclass(slots=True)
class Images:
    """The images of a daemon; `docker` is the command that asks it, empty where there is none and so no image."""

    docker: str = ""
    clock: Callable[[], float] = time.monotonic
    asked: dict[str, _Asked] = field(default_factory=dict)

    def known(self, image: str) -> bool:
        """Whether `has` can be asked now; else ask again soon."""
        if not self.docker:
            return True
        now, one = self.clock(), self.asked.get(image)
        if one is not None and one.answer is not None and now - one.at < FRESH_S:
            return True
        if one is None or one.answer is not None:
            self.asked[image] = one = _Asked(self._ask(image), now)
        code = None if one.child is None else one.child.poll()
        if one.child is not None and code is None:
            if now - one.since < ASK_S:
                return False
            one.child.kill()
            one.child.wait()
        one.answer, one.at = code == 0, now
        return True

    def has(self, image: str) -> bool:
        """Whether the image was on this machine when that became known."""
        one = self.asked.get(image)
        return one is not None and bool(one.answer)

    def _ask(self, image: str) -> subprocess.Popen[bytes] | None:
        words, silent = [self.docker, "image", "inspect", image], subprocess.DEVNULL
        try:
            return subprocess.Popen(words, stdin=silent, stdout=silent, stderr=silent)
        except (OSError, ValueError):
            return None
