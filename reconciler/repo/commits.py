"""The commits that a file went through on the way that the branch took, through renames.

Only first parents count: a commit on a side branch was never what the branch said. Texts come as git has them,
control characters and all: whoever prints them cleans them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.errors import LoraformError
from reconciler.core.lineage import Commit
from reconciler.repo.git import run_git
from reconciler.repo.revision import ask_git

_FIELDS = ("%H", "%cI", "%an", "%s")
_FORMAT = "--format=" + "".join(f"%x00{field}" for field in _FIELDS)
_ON_THE_WAY = ("--first-parent", "-m", "-z", _FORMAT)


@dataclass(frozen=True, slots=True)
class Touched:
    """A commit that touched a file; `path` is relative to the root and what the file is called after it."""

    commit: Commit
    path: str
    gone: bool = False
    """The commit deleted it."""


def commits_of_file(root: Path, path: str, limit: int) -> tuple[Touched, ...]:
    """The commits of a file and of what it was renamed from, newest first. Raises LoraformError when git cannot."""
    answer = ask_git(root, "log", "--follow", *_ON_THE_WAY, "--name-status", f"--max-count={limit}", "--", path)
    prefix = ask_git(root, "rev-parse", "--show-prefix").rstrip("\n")
    return tuple(_touched(answer, prefix))


def commits_of_paths(root: Path, paths: Iterable[str], limit: int) -> tuple[Commit, ...]:
    """The commits that touched any of these files or folders, newest first."""
    answer = ask_git(root, "log", *_ON_THE_WAY, "--no-patch", f"--max-count={limit}", "--", *sorted(paths))
    tokens, width = answer.split("\0"), len(_FIELDS) + 1
    return tuple(Commit(*tokens[at + 1 : at + width]) for at in range(0, len(tokens) - width + 1, width))


def order_of(root: Path, revision: str = "HEAD") -> dict[str, int]:
    """How far each commit on the way to `revision` is behind it."""
    listed = ask_git(root, "rev-list", "--first-parent", revision).split()
    return {commit: behind for behind, commit in enumerate(listed)}


def first_parents(root: Path, after: str, until: str) -> tuple[tuple[str, str], ...]:
    """Each commit of a branch as (first parent, commit), the newest first: those after `after`, or `until` alone.

    The parent of a first commit is "". LoraformError when git does not know one of them.
    """
    span = [f"{after}..{until}"] if after else ["--max-count=1", until]
    rows = [line.split() for line in ask_git(root, "log", "--first-parent", "--format=%H %P", *span, "--").splitlines()]
    return tuple((row[1] if len(row) > 1 else "", row[0]) for row in rows)


def is_shallow(root: Path) -> bool:
    """Whether this clone lacks the older commits: its oldest one seems to have made every file."""
    return ask_git(root, "rev-parse", "--is-shallow-repository").strip() == "true"


def subject_of(root: Path, commit: str) -> str:
    """The first line of a commit's message; empty when the commit is not in this clone."""
    answer = run_git(root, "show", "--no-patch", "--format=%s", "--end-of-options", commit)
    return answer.stdout.strip() if answer.returncode == 0 else ""


def deleted_manifest(root: Path, name: str, limit: int = 500) -> str | None:
    """The path of the manifest that last declared an experiment and was deleted since; None when there is none."""
    answer = ask_git(
        root, "log", *_ON_THE_WAY, "--diff-filter=D", "--name-status", "--no-renames", f"--max-count={limit}",
        "--", "*.yaml", "*.yml",
    )  # fmt: skip
    prefix = ask_git(root, "rev-parse", "--show-prefix").rstrip("\n")
    declares = re.compile(rf"^name:\s*[\"']?{re.escape(name)}[\"']?\s*(#.*)?$", re.MULTILINE)
    for touched in _touched(answer, prefix):
        if declares.search(ask_git(root, "show", f"{touched.commit.id}^:./{touched.path}")):
            return touched.path
    return None


def deleted_names(root: Path, limit: int = 500) -> frozenset[str]:
    """What the manifests that this branch deleted (its last `limit` deletions) declared, by name."""
    answer = ask_git(
        root, "log", *_ON_THE_WAY, "--diff-filter=D", "--name-status", "--no-renames", f"--max-count={limit}",
        "--", "*.yaml", "*.yml",
    )  # fmt: skip
    prefix = ask_git(root, "rev-parse", "--show-prefix").rstrip("\n")
    names = re.compile(r"^name:\s*[\"']?([a-z][a-z0-9-]*)[\"']?\s*(?:#.*)?$", re.MULTILINE)
    gone = (ask_git(root, "show", f"{one.commit.id}^:./{one.path}") for one in _touched(answer, prefix))
    return frozenset(name for text in gone for name in names.findall(text))


def _touched(answer: str, prefix: str) -> Iterator[Touched]:
    """git's `-z` stream: four fields, each behind a NUL, then for each file a status and one or two paths."""
    tokens = iter(answer.split("\0"))
    commit: Commit | None = None
    for token in tokens:
        if token == "":
            fields = [next(tokens, "") for _ in _FIELDS]
            commit = Commit(*fields) if fields[0] else None
            continue
        status = token.lstrip("\n")
        if commit is None or not status:
            raise LoraformError("git log answered in a way that cannot be read", "Is this git older than 2.31?")
        path = next(tokens, "")
        if status[0] in "RC":
            path = next(tokens, "")
        if path.startswith(prefix):
            yield Touched(commit, path.removeprefix(prefix), gone=status == "D")
