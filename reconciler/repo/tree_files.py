"""The files of a branch as one commit after another left them: the same answers as `files`, without a checkout.

What git ignores is in no commit: where a manifest names such a path (a base model that was made here), the working
tree's copy stands in, as `revision` does it.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from reconciler.repo.blobs import Blobs
from reconciler.repo.branch_log import Blob
from reconciler.repo.files import Content, Entry, Files, Unreadable, tree_digest
from reconciler.repo.git import run_git

_HOPS = 8
"""Links behind links that are followed."""


class TreeFiles:
    """The files of one commit; `go` takes them to the next. `here` are those of the working tree."""

    def __init__(self, root: Path, blobs: Blobs, here: Files) -> None:
        self.root = root
        self.inputs: dict[tuple[str, str, str], Any] = {}
        self._blobs = blobs
        self._here = here
        self._tree: dict[str, Blob] = {}
        self._folders: dict[str, set[str]] = defaultdict(set)
        self._seen: dict[str, Content] = {}
        self._ignored: dict[str, bool] = {}

    def go(self, changes: Iterable[tuple[str, Blob | None]]) -> None:
        """Take over what a commit changed."""
        self.inputs.clear()
        for path, blob in changes:
            above = folders_of(path)
            for folder in above:
                if blob is None:
                    self._folders[folder].discard(path)
                else:
                    self._folders[folder].add(path)
            if blob is None:
                self._tree.pop(path, None)
            else:
                self._tree[path] = blob
            for known in [known for known in self._seen if known == path or known in above or "*" in known]:
                del self._seen[known]

    def paths(self) -> Iterable[str]:
        """Every path of the commit."""
        return self._tree.keys()

    def blob(self, path: str) -> str:
        """git's name for what a path holds, behind links; empty where there is no file."""
        found = self._followed(path)
        return self._tree[found].id if found else ""

    def content(self, path: str) -> Content:
        """The hash of the file or folder at `path`. Raises Unreadable."""
        name = posixpath.normpath(path)
        if name not in self._seen:
            self._seen[name] = self._content(name, path)
        return self._seen[name]

    def matching(self, pattern: str) -> Content:
        """The hash of the files that a pattern with `*` names. Raises Unreadable."""
        if pattern not in self._seen:
            self._seen[pattern] = self._matching(pattern)
        return self._seen[pattern]

    def text(self, path: str) -> str:
        """The text of a small file, as UTF-8. Raises Unreadable."""
        blob = self.blob(path)
        if not blob:
            if self._borrows(path):
                return self._here.text(path)
            raise _missing(path)
        try:
            return self._blobs.read(blob).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Unreadable(f"{path} cannot be read as a text: {error}", "save it as UTF-8") from error

    def exists(self, path: str) -> bool:
        """Whether there is something at `path`."""
        name = posixpath.normpath(path)
        return bool(self._folders.get(name)) or bool(self.blob(name)) or self._borrows(path)

    def is_folder(self, path: str) -> bool:
        """Whether what stands at `path` is a folder."""
        return bool(self._folders.get(posixpath.normpath(path))) or (self._borrows(path) and self._here.is_folder(path))

    def _content(self, name: str, asked: str) -> Content:
        below = self._folders.get(name)
        if below:
            entries = tuple(self._entry(path[len(name) + 1 :], path) for path in sorted(below))
            # Sorted as the working tree's are: by the name below the folder.
            return Content(name, tree_digest(entries), True, tuple(sorted(entries, key=lambda one: one.name)))
        if self.blob(name):
            entry = self._entry("", name)
            return Content(name, entry.sha256, False, (entry,))
        if self._borrows(asked):
            return self._here.content(asked)
        raise _missing(asked)

    def _matching(self, pattern: str) -> Content:
        parts = pattern.split("/")
        folder = "/".join(takewhile(lambda part: "*" not in part, parts))
        paths = self._folders.get(folder, set()) if folder else set(self._tree)
        names = sorted(path for path in paths if _matches(path.split("/"), parts))
        if not names:
            if self._borrows(folder or "."):
                return self._here.matching(pattern)
            raise Unreadable(f"no file matches {pattern}", "paths are relative to the root of the repository")
        cut = len(folder) + 1 if folder else 0
        entries = tuple(self._entry(path[cut:], path) for path in names)
        return Content(folder or ".", tree_digest(entries), True, entries)

    def _entry(self, name: str, path: str) -> Entry:
        blob = self.blob(path)
        if not blob:
            raise Unreadable(f"{path} is a link that leads to no file of its commit", "copy the file in its place")
        return Entry(name, *self._blobs.sha256(blob))

    def _followed(self, path: str) -> str:
        name = posixpath.normpath(path)
        for _ in range(_HOPS):
            found = self._tree.get(name)
            if found is None or not found.link:
                return name if found else ""
            leads = self._blobs.read(found.id, 4096).decode(errors="surrogateescape")
            name = posixpath.normpath(posixpath.join(posixpath.dirname(name), leads))
        return ""

    def _borrows(self, path: str) -> bool:
        if path not in self._ignored:
            there = self._here.exists(path)
            self._ignored[path] = there and run_git(self.root, "check-ignore", "-q", "--", path).returncode == 0
        return self._ignored[path]


def folders_of(path: str) -> frozenset[str]:
    """The folders above a path of a repository."""
    return frozenset(_above(path))


def _above(path: str) -> Iterator[str]:
    return (str(folder) for folder in PurePosixPath(path).parents if str(folder) != ".")


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """As `Path.glob` matches: a `**` stands for any folders, every other part for one name."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return _matches(path, pattern[1:]) or (bool(path) and _matches(path[1:], pattern))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and _matches(path[1:], pattern[1:])


def matches(path: str, pattern: str) -> bool:
    """Whether a pattern names a path, both relative to the root."""
    return _matches(path.split("/"), [part for part in pattern.split("/") if part != "."])


def _missing(path: str) -> Unreadable:
    return Unreadable(f"{path} does not exist", "paths are relative to the root of the repository")
