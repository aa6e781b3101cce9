"""Everything that a branch did to its files, commit by commit, in one call of git.

Only first parents count, as in `commits`. Texts come as git has them, control characters and all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.errors import LoraformError
from reconciler.core.lineage import Commit
from reconciler.repo.revision import ask_git

_FIELDS = ("%H", "%cI", "%an", "%s")
_FORMAT = "--format=" + "".join(f"%x00{field}" for field in _FIELDS)
_LINK = "120000"
_FILES = ("100644", "100755", _LINK)


@dataclass(frozen=True, slots=True)
class Blob:
    """What a path holds in a commit, by git's own name of the bytes."""

    id: str
    link: bool = False
    """The bytes are the path that a symbolic link leads to."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One commit, and what each path that it touched holds after it; None where nothing is left."""

    commit: Commit
    changes: tuple[tuple[str, Blob | None], ...]


def walk(root: Path, revision: str = "HEAD") -> tuple[Visit, ...]:
    """All commits on the way to `revision`, oldest first; paths are relative to `root`, and only those below it count.

    Raises LoraformError outside a git repository and before the first commit.
    """
    answer = ask_git(
        root, "-c", "log.showRoot=true", "log", "--first-parent", "-m", "--raw", "-z", "--no-abbrev", "--no-renames",
        "--relative", "--reverse", "--topo-order", _FORMAT, revision, "--",
    )  # fmt: skip
    return tuple(_visits(answer))


def _visits(answer: str) -> Iterator[Visit]:
    """git's `-z` stream: four fields, each behind a NUL, then for each path `:modes ids status` and the path."""
    tokens = iter(answer.split("\0"))
    commit: Commit | None = None
    changes: list[tuple[str, Blob | None]] = []
    for token in tokens:
        if token == "":
            if commit is not None:
                yield Visit(commit, tuple(changes))
            fields = [next(tokens, "") for _ in _FIELDS]
            commit, changes = (Commit(*fields) if fields[0] else None), []
            continue
        words = token.lstrip("\n").split(" ")
        if commit is None or len(words) != 5 or not words[0].startswith(":"):
            raise LoraformError("git log answered in a way that cannot be read", "Is this git older than 2.31?")
        mode, blob = words[1], words[3]
        changes.append((next(tokens, ""), Blob(blob, mode == _LINK) if mode in _FILES else None))
    if commit is not None:
        yield Visit(commit, tuple(changes))
