"""What a rule finds wrong in a manifest: where, which rule, and the way out."""

from __future__ import annotations

from typing import NamedTuple

Path = tuple[str | int, ...]


class Finding(NamedTuple):
    """A rule that a manifest breaks, at a path in it."""

    path: Path
    rule: str
    message: str
    remedy: str = ""
    warning: bool = False
    absent: Path = ()
    """The path whose absence is the mistake: nothing is said about it where its value is wrong by itself."""
