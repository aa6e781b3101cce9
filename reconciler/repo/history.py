"""What git says about the working tree. Read by running `git`; a folder that is no repository is a plain folder.

Facts only: whether apply may go ahead on such a tree is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reconciler.core.errors import LoraformError
from reconciler.repo.git import run_git


@dataclass(frozen=True, slots=True)
class History:
    """One working tree as git sees it. Without git, or outside a repository, everything is None or empty."""

    root: Path | None = None
    """The top folder of the working tree."""
    head: str | None = None
    """The commit that is checked out (40 or 64 hex digits); None before the first commit."""
    branch: str | None = None
    """The checked-out branch; None when the head is detached."""
    default_branch: str | None = None
    """What the remote calls its default branch, else `main` or `master` where one exists."""
    dirty: tuple[str, ...] = ()
    """Paths that differ from the head or are not tracked, relative to `root`, sorted; ignored files do not count."""

    @property
    def default_branches(self) -> tuple[str, ...]:
        """The default branch here and at the remote: a checkout of a pipeline often has only the latter."""
        return (self.default_branch, f"origin/{self.default_branch}") if self.default_branch else ()


def read_history(folder: Path) -> History:
    """Everything that git knows about the tree around `folder`. Raises LoraformError when git itself fails."""
    top = _ask(folder, "rev-parse", "--show-toplevel")
    if not top:
        return History()
    root = Path(top)
    return History(
        root=root,
        head=_ask(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"),
        branch=_ask(root, "symbolic-ref", "--short", "--quiet", "HEAD"),
        default_branch=_default_branch(root),
        dirty=_dirty(root),
    )


def is_ancestor(folder: Path, older: str, newer: str) -> bool | None:
    """Whether `newer` descends from `older` (or is it); None when git or one of the two commits is missing."""
    if not (commit_of(folder, older) and commit_of(folder, newer)):
        return None
    return run_git(folder, "merge-base", "--is-ancestor", older, newer).returncode == 0


def commit_of(folder: Path, revision: str) -> str | None:
    """The commit that a revision names; None when it names none here."""
    return _ask(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")


def base_of(history: History) -> str | None:
    """The commit that this tree is to be compared with; None when there is none in this clone.

    On the default branch the first parent; elsewhere where the tree left it, which is what a pull request shows.
    """
    if history.root is None or history.head is None:
        return None
    for branch in history.default_branches:
        left = _ask(history.root, "merge-base", history.head, branch)
        if left and left != history.head:
            return left
    return commit_of(history.root, f"{history.head}^1")


def changed_paths(folder: Path, base: str) -> tuple[str, ...]:
    """The paths below `folder` that differ from a commit or are not tracked, relative to it, sorted. Ignored files
    do not count. Raises LoraformError when git cannot tell.
    """
    found: set[str] = set()
    for command in (
        ("diff", "--name-only", "--no-renames", "--relative", "-z", base, "--"),
        ("ls-files", "--others", "--exclude-standard", "-z"),
    ):
        answer = run_git(folder, *command)
        if answer.returncode != 0:
            raise LoraformError(f"git {command[0]} failed in {folder}: {answer.stderr.strip()}")
        found.update(path for path in answer.stdout.split("\0") if path)
    return tuple(sorted(found))


def paths_between(folder: Path, before: str, after: str) -> tuple[str, ...]:
    """The paths below `folder` in which two commits differ, relative to it, sorted. LoraformError from git."""
    answer = run_git(folder, "diff", "--name-only", "--no-renames", "--relative", "-z", before, after, "--")
    if answer.returncode != 0:
        raise LoraformError(f"git diff failed in {folder}: {answer.stderr.strip()}")
    return tuple(sorted(path for path in answer.stdout.split("\0") if path))


def _default_branch(root: Path) -> str | None:
    remote = _ask(root, "symbolic-ref", "--short", "--quiet", "refs/remotes/origin/HEAD")
    if remote:
        return remote.removeprefix("origin/")
    # A checkout of a pipeline is detached, and knows no default branch but those that it fetched.
    places = [(name, place) for place in ("heads", "remotes/origin") for name in ("main", "master")]
    known = (name for name, place in places if _ask(root, "rev-parse", "--verify", "--quiet", f"refs/{place}/{name}"))
    return next(known, None)


def _dirty(root: Path) -> tuple[str, ...]:
    answer = run_git(root, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
    if answer.returncode != 0:
        raise LoraformError(f"git status failed in {root}: {answer.stderr.strip()}")
    return tuple(sorted(line[3:] for line in answer.stdout.split("\0") if line))


def _ask(folder: Path, *arguments: str) -> str | None:
    answer = run_git(folder, *arguments)
    return answer.stdout.rstrip("\n") or None if answer.returncode == 0 else None
