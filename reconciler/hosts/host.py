"""What Loraform asks of a code host, whichever it is: comments on a pull request, and a status on a commit.

GitLab's merge requests and notes are pull requests and comments here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class State(StrEnum):
    """What a status says of a commit."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True, order=True)
class Comment:
    """One comment. Ids rise with time, so the smallest of several is the oldest."""

    id: int
    author: str
    body: str


@dataclass(frozen=True, slots=True)
class Status:
    """One word of one context on one commit; hosts keep all of them, and the newest counts."""

    context: str
    state: State
    description: str = ""
    """One line, at most 140 characters."""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A pull request: its number and the commit that stands at its head, or stood there when it was merged."""

    number: int
    head: str
    url: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Issue:
    """One open issue."""

    number: int
    author: str
    body: str


class Host(Protocol):
    """One repository on a code host. Every method raises `core.errors.CloudError`."""

    def me(self) -> str:
        """The name that our own comments carry."""

    def comments(self, number: int) -> Iterable[Comment]:
        """All comments of a pull request, oldest first."""

    def add(self, number: int, body: str) -> Comment:
        """A new comment."""

    def edit(self, number: int, comment: int, body: str) -> None:
        """Another text for a comment. NotFound when somebody deleted it."""

    def delete(self, number: int, comment: int) -> None:
        """One comment less. NotFound when it is gone already."""

    def statuses(self, commit: str) -> Iterable[Status]:
        """The statuses of a commit, the newest first."""

    def set_status(self, commit: str, status: Status) -> None:
        """A new status of a commit."""

    def merged_by(self, commit: str) -> Iterable[Request]:
        """The merged pull requests that a commit of the default branch came with."""

    def issues(self) -> Iterable[Issue]:
        """The open issues that we opened, the oldest first."""

    def open_issue(self, title: str, body: str) -> Issue:
        """A new issue."""

    def edit_issue(self, number: int, title: str, body: str, *, close: bool = False) -> None:
        """Another title and text for an issue, and its end where `close` is set."""
