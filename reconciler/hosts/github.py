"""GitHub by its REST API (version 2022-11-28), on github.com or a server of one's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from reconciler.core.errors import CloudError, LoraformError
from reconciler.hosts.host import Comment, Issue, Request, State, Status
from reconciler.hosts.rest import Rest, same_host

API = "https://api.github.com"
BOT = "github-actions[bot]"
"""The name under which the token of a workflow run comments; such a token may not ask for its own."""
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
_LONGEST = 140


class GitHub:
    """One repository, `owner/name`."""

    def __init__(self, rest: Rest, repository: str) -> None:
        if not _REPOSITORY.fullmatch(repository):
            raise LoraformError(f"`{repository}` is no repository of GitHub.", "Its name is OWNER/NAME.")
        self._rest = rest
        self._at = f"repos/{repository}"
        self._me = ""

    def me(self) -> str:
        """The login of the token's owner."""
        if not self._me:
            try:
                self._me = str(self._rest.get("user")["login"])
            except CloudError as error:
                if error.code not in (401, 403):
                    raise
                self._me = BOT
        return self._me

    def comments(self, number: int) -> Iterator[Comment]:
        """The conversation's comments; review comments on lines are another thing."""
        for item in self._rest.pages(f"{self._at}/issues/{number}/comments?per_page=100"):
            yield _comment(item)

    def add(self, number: int, body: str) -> Comment:
        """A new comment of the conversation."""
        return _comment(self._rest.write("POST", f"{self._at}/issues/{number}/comments", {"body": body}))

    def edit(self, number: int, comment: int, body: str) -> None:
        """Another text for a comment; the number is not asked for."""
        self._rest.write("PATCH", f"{self._at}/issues/comments/{comment}", {"body": body})

    def delete(self, number: int, comment: int) -> None:
        """One comment less; the number is not asked for."""
        self._rest.write("DELETE", f"{self._at}/issues/comments/{comment}")

    def statuses(self, commit: str) -> Iterator[Status]:
        """As GitHub lists them, the newest first. `error` reads as failure."""
        for item in self._rest.pages(f"{self._at}/commits/{quote(commit, safe='')}/statuses?per_page=100"):
            yield Status(
                str(item["context"]),
                _state(item.get("state")),
                item.get("description") or "",
                item.get("target_url") or "",
            )

    def set_status(self, commit: str, status: Status) -> None:
        """Cut at the 140 characters that GitHub takes."""
        body: dict[str, Any] = {"state": str(status.state), "context": status.context}
        body |= {"description": status.description[:_LONGEST]} if status.description else {}
        body |= {"target_url": status.url} if status.url else {}
        self._rest.write("POST", f"{self._at}/statuses/{quote(commit, safe='')}", body)

    def merged_by(self, commit: str) -> Iterator[Request]:
        """Merged ones only: a commit is in open pull requests as well."""
        for item in self._rest.pages(f"{self._at}/commits/{quote(commit, safe='')}/pulls?per_page=100"):
            if item.get("merged_at"):
                yield Request(int(item["number"]), str(item["head"]["sha"]), str(item.get("html_url") or ""))

    def issues(self) -> Iterator[Issue]:
        """Pull requests are issues too, as GitHub sees them; they are left out."""
        path = (
            f"{self._at}/issues?state=open&sort=created&direction=asc&per_page=100&creator={quote(self.me(), safe='')}"
        )
        for item in self._rest.pages(path):
            if "pull_request" not in item:
                yield _issue(item)

    def open_issue(self, title: str, body: str) -> Issue:
        """A new issue."""
        return _issue(self._rest.write("POST", f"{self._at}/issues", {"title": title, "body": body}))

    def edit_issue(self, number: int, title: str, body: str, *, close: bool = False) -> None:
        """Closed as completed."""
        state = {"state": "closed", "state_reason": "completed"} if close else {}
        self._rest.write("PATCH", f"{self._at}/issues/{number}", {"title": title, "body": body, **state})


def github(token: str, repository: str, api: str = API, **more: Any) -> GitHub:
    """`more` are the clock's parts of `Rest`. LoraformError for an address that is neither https nor this machine."""
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {token}",
        "User-Agent": "loraform",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    return GitHub(Rest(same_host(api), headers, **more), repository)


def _comment(item: Mapping[str, Any]) -> Comment:
    return Comment(int(item["id"]), str((item.get("user") or {}).get("login", "")), str(item.get("body") or ""))


def _issue(item: Mapping[str, Any]) -> Issue:
    return Issue(int(item["number"]), str((item.get("user") or {}).get("login", "")), str(item.get("body") or ""))


def _state(word: object) -> State:
    return State(str(word)) if word in list(State) else State.FAILURE
