"""The bytes behind git's names for them, from one `git cat-file --batch` that is asked again and again.

Nothing is written out, and a large blob is hashed piece by piece.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from reconciler.core.errors import LoraformError

_PIECE = 1 << 20
_AT_A_TIME = 500
"""Questions that git is asked before an answer is read: they and their first answer fit into pipes."""


class Blobs:
    """Holds the connection to git. Remembers hashes, and the contents that were asked for beforehand."""

    def __init__(self, ask: IO[bytes], answer: IO[bytes]) -> None:
        self._ask = ask
        self._answer = answer
        self._ahead: dict[str, bytes] = {}
        self._hashes: dict[str, tuple[int, str]] = {}

    def ahead(self, blobs: Sequence[str], longest: int) -> None:
        """Read the first `longest` bytes of each, several questions at a time: waiting for git is what costs."""
        for at in range(0, len(blobs), _AT_A_TIME):
            some = blobs[at : at + _AT_A_TIME]
            self._ask.write("".join(f"{blob}\n" for blob in some).encode())
            self._ask.flush()
            for blob in some:
                self._ahead[blob] = self._taken(blob, longest)

    def read(self, blob: str, longest: int | None = None) -> bytes:
        """The content, at most its first `longest` bytes. Raises LoraformError for one that this clone lacks."""
        if blob in self._ahead:
            return self._ahead[blob][:longest]
        self._put(blob)
        return self._taken(blob, longest)

    def _taken(self, blob: str, longest: int | None) -> bytes:
        size = self._size(blob)
        kept = size if longest is None else min(size, longest)
        content = self._answer.read(kept)
        for _ in self._pieces(size - kept):
            pass
        self._answer.read(1)
        return content

    def sha256(self, blob: str) -> tuple[int, str]:
        """(bytes, SHA-256) of the content."""
        if blob not in self._hashes:
            self._put(blob)
            size, digest = self._size(blob), hashlib.sha256()
            for piece in self._pieces(size):
                digest.update(piece)
            self._answer.read(1)
            self._hashes[blob] = size, digest.hexdigest()
        return self._hashes[blob]

    def _put(self, blob: str) -> None:
        self._ask.write(blob.encode() + b"\n")
        self._ask.flush()

    def _size(self, blob: str) -> int:
        words = self._answer.readline().split()
        if len(words) != 3 or words[1] != b"blob":
            raise LoraformError(
                f"git has no file {blob[:12]} here.", "Is this a partial clone? `git fetch --refetch` brings all of it."
            )
        return int(words[2])

    def _pieces(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self._answer.read(min(left, _PIECE))
            if not piece:
                raise LoraformError("git stopped in the middle of a file.")
            left -= len(piece)
            yield piece


@contextmanager
def open_blobs(root: Path) -> Iterator[Blobs]:
    """A connection to the repository around `root`, for the length of a `with` block."""
    surroundings = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    command = ["git", "-C", str(root), "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=surroundings) as git:
        assert git.stdin is not None
        assert git.stdout is not None
        try:
            yield Blobs(git.stdin, git.stdout)
        finally:
            git.stdin.close()
