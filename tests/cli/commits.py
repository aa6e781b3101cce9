"""Commits for tests of the command: a repository under git, with what `loraform init` has git ignore."""

from __future__ import annotations

import subprocess
from pathlib import Path

WHO = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false")


def git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *WHO, *arguments], cwd=repository, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(repository: Path, subject: str, author: str = "Ann <ann@example.com>") -> str:
    """Commit all that stands there; the first call makes the repository. Returns the commit."""
    if not (repository / ".git").exists():
        git(repository, "init", "--quiet", "--initial-branch=main")
        (repository / ".gitignore").write_text(".loraform/\n")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", "--author", author, "--message", subject)
    return git(repository, "rev-parse", "HEAD")
