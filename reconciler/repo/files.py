"""What files and folders of the repository hold, as hashes: the pin of data and models that git names by path.

A file is its SHA-256; a folder is the SHA-256 of its sorted (name, file hash) list. Nothing in a folder is left out
silently: what cannot be hashed faithfully is an `Unreadable` with a way out. Hashes are remembered by size, times
and inode, so that a plan does not read gigabytes again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol

from reconciler.core.errors import LoraformError
from reconciler.core.identity import canonical

_SETTLED = 2_000_000_000
"""Nanoseconds that a file must have lain still before its hash is remembered: clocks of file systems are coarse."""


class Unreadable(LoraformError):
    """A path that cannot be pinned: missing, empty, not a plain file, or leading out of the repository."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its path relative to what was asked for ("" for a single file), size in bytes, and SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Content:
    """A file or a folder of the repository as it stands now."""

    path: str
    """Relative to the root, with forward slashes."""
    digest: str
    """SHA-256 (64 hex digits) of the file, or of the sorted names and hashes of the folder."""
    folder: bool
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(entry.size for entry in self.entries)


class AnyFiles(Protocol):
    """What tells the content of paths: the working tree (`Files`), or a commit (`tree_files`)."""

    root: Path
    inputs: dict[tuple[str, str, str], Any]
    """What `inputs` has made of what it found here."""

    def content(self, path: str) -> Content:
        """Hash the file or folder at `path`, relative to the root. Raises Unreadable."""

    def matching(self, pattern: str) -> Content:
        """Hash the files that a pattern with `*` names. Raises Unreadable."""

    def text(self, path: str) -> str:
        """The text of a small file, as UTF-8. Raises Unreadable."""

    def exists(self, path: str) -> bool:
        """Whether there is something at `path`."""

    def is_folder(self, path: str) -> bool:
        """Whether what stands at `path` is a folder."""


class Files:
    """The files under one root as one pass sees them, and the memory of their hashes.

    `cache` is a JSON file that may vanish at any time; `now` returns nanoseconds since the epoch. A file of more than
    `largest` bytes that nobody has hashed yet is not read: it is Unreadable.
    """

    def __init__(
        self,
        root: Path,
        cache: Path | None = None,
        now: Callable[[], int] = time.time_ns,
        largest: int | None = None,
    ) -> None:
        self.root = Path(os.path.realpath(root))
        self.memory = cache
        self._now = now
        self._largest = largest
        self._known: dict[str, tuple[str, str]] = _load(cache)
        self.inputs: dict[tuple[str, str, str], Any] = {}
        """What `inputs` has made of what it found here."""
        self._seen: dict[str, Content] = {}
        self._dirty = False

    def content(self, path: str) -> Content:
        """Hash the file or folder at `path`, relative to the root. Raises Unreadable.

        One `Files` sees one state: what it has hashed once it does not look at again.
        """
        if path not in self._seen:
            self._seen[path] = self._content(path)
        return self._seen[path]

    def matching(self, pattern: str) -> Content:
        """Hash the files that a pattern with `*` names, as the folder that would hold just these. Raises Unreadable."""
        folder = "/".join(takewhile(lambda part: "*" not in part, pattern.split("/")))
        try:
            places = sorted(place for place in self.root.glob(pattern) if place.is_file())
        except ValueError as error:
            raise Unreadable(
                f"{pattern} is no pattern: {error}", "write FOLDER/*.jsonl, or FOLDER/**/*.jsonl"
            ) from error
        if not places:
            raise Unreadable(f"no file matches {pattern}", "paths are relative to the root of the repository")
        top = self.root / folder
        entries = tuple(self._entry(place.relative_to(top).as_posix(), place, pattern) for place in places)
        return Content(folder or ".", tree_digest(entries), True, entries)

    def text(self, path: str) -> str:
        """The text of a small file, as UTF-8. Raises Unreadable."""
        place = self._inside(self.root / path, path)
        try:
            return place.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Unreadable(f"{path} cannot be read as a text: {error}", "save it as UTF-8") from error

    def exists(self, path: str) -> bool:
        """Whether there is something at `path`."""
        return (self.root / path).exists()

    def is_folder(self, path: str) -> bool:
        """Whether what stands at `path` is a folder."""
        return (self.root / path).is_dir()

    def save(self) -> None:
        """Write the memory of hashes, if there is one and it grew; a failure to write costs only time later."""
        if self.memory is None or not self._dirty:
            return
        with contextlib.suppress(OSError):
            self.memory.parent.mkdir(parents=True, exist_ok=True)
            partial = self.memory.with_name(f"{self.memory.name}.{os.getpid()}")
            partial.write_text(json.dumps({key: list(value) for key, value in sorted(self._known.items())}))
            partial.replace(self.memory)
            self._dirty = False

    def _content(self, path: str) -> Content:
        full = self.root / path
        place = self._inside(full, path)
        relative = full.relative_to(self.root).as_posix() if full.is_relative_to(self.root) else place.as_posix()
        if place.is_dir():
            entries = tuple(self._entry(name, file, path) for name, file in self._walk(full, path))
            if not entries:
                raise Unreadable(f"the folder {path} is empty", "put the files there, or mend the path")
            return Content(relative, tree_digest(entries), True, entries)
        entry = self._entry("", full, path)
        return Content(relative, entry.sha256, False, (entry,))

    def _walk(self, folder: Path, asked: str) -> list[tuple[str, Path]]:
        found: list[tuple[str, Path]] = []
        for parent, folders, names in os.walk(folder, onerror=_raise):
            linked = [name for name in folders if (Path(parent) / name).is_symlink()]
            if linked:
                raise Unreadable(
                    f"{asked} holds a link to a folder: {Path(parent, linked[0]).relative_to(folder)}",
                    "copy the folder in place of the link",
                )
            found.extend((Path(parent, name).relative_to(folder).as_posix(), Path(parent, name)) for name in names)
        return sorted(found)

    def _entry(self, name: str, file: Path, asked: str) -> Entry:
        place = self._inside(file, asked)
        status = place.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable(f"{file} is not a plain file", "only files and folders can be pinned")
        mark = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        known = self._known.get(str(place))
        if known is not None and known[0] == mark:
            return Entry(name, status.st_size, known[1])
        if self._largest is not None and status.st_size > self._largest:
            raise Unreadable(f"{file} is too large to be read here")
        digest = _sha256(place)
        if self._now() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED:
            self._known[str(place)] = (mark, digest)
            self._dirty = True
        return Entry(name, status.st_size, digest)

    def _inside(self, file: Path, asked: str) -> Path:
        """The real path, when it exists and lies under the root: a link must not carry other files to the bucket."""
        try:
            place = file.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            message = f"{asked} does not exist" if file == self.root / asked else f"{file} cannot be followed: {error}"
            raise Unreadable(message, "paths are relative to the root of the repository") from error
        if not place.is_relative_to(self.root):
            raise Unreadable(f"{asked} leads out of the repository, to {place}", "copy it into the repository")
        return place


def tree_digest(entries: tuple[Entry, ...]) -> str:
    """The hash of a folder: of the sorted names and hashes of its files, whatever their order here."""
    return hashlib.sha256(canonical({entry.name: entry.sha256 for entry in entries}).encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb", buffering=0) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _load(cache: Path | None) -> dict[str, tuple[str, str]]:
    if cache is None:
        return {}
    try:
        raw = json.loads(cache.read_text())
        return {str(key): (str(mark), str(digest)) for key, (mark, digest) in raw.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _raise(error: OSError) -> None:
    raise Unreadable(f"{error.filename}: {error.strerror}")
