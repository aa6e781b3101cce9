"""GitLab by its REST API (v4): a merge request's notes, and the statuses of commits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from reconciler.hosts.host import Comment, Issue, Request, State, Status
from reconciler.hosts.rest import Rest, same_host

API = "https://gitlab.com/api/v4"
_STATES: Mapping[str, State] = {"success": State.SUCCESS, "pending": State.PENDING, "running": State.PENDING}
_LONGEST = 255


class GitLab:
    """One project, `group/name` or its number."""

    def __init__(self, rest: Rest, project: str) -> None:
        self._rest = rest
        self._at = f"projects/{quote(project, safe='')}"
        self._me = ""

    def me(self) -> str:
        """The user name of the token's owner: a project's access token has a bot user of its own."""
        if not self._me:
            self._me = str(self._rest.get("user")["username"])
        return self._me

    def comments(self, number: int) -> Iterator[Comment]:
        """The notes that people and programs wrote; what GitLab itself notes is left out."""
        path = f"{self._at}/merge_requests/{number}/notes?per_page=100&sort=asc&order_by=created_at"
        for item in self._rest.pages(path):
            if not item.get("system"):
                yield _note(item)

    def add(self, number: int, body: str) -> Comment:
        """A new note."""
        return _note(self._rest.write("POST", f"{self._at}/merge_requests/{number}/notes", {"body": body}))

    def edit(self, number: int, comment: int, body: str) -> None:
        """Another text for a note."""
        self._rest.write("PUT", f"{self._at}/merge_requests/{number}/notes/{comment}", {"body": body})

    def delete(self, number: int, comment: int) -> None:
        """One note less."""
        self._rest.write("DELETE", f"{self._at}/merge_requests/{number}/notes/{comment}")

    def statuses(self, commit: str) -> Iterator[Status]:
        """The newest first, also those of retried jobs."""
        path = f"{self._at}/repository/commits/{quote(commit, safe='')}/statuses?per_page=100&all=true&sort=desc"
        for item in self._rest.pages(path):
            yield Status(
                str(item["name"]),
                _STATES.get(str(item.get("status")), State.FAILURE),
                item.get("description") or "",
                item.get("target_url") or "",
            )

    def set_status(self, commit: str, status: Status) -> None:
        """GitLab calls a failure `failed`, and a context a name."""
        state = "failed" if status.state is State.FAILURE else str(status.state)
        body: dict[str, Any] = {"state": state, "name": status.context}
        body |= {"description": status.description[:_LONGEST]} if status.description else {}
        body |= {"target_url": status.url} if status.url else {}
        self._rest.write("POST", f"{self._at}/statuses/{quote(commit, safe='')}", body)

    def merged_by(self, commit: str) -> Iterator[Request]:
        """Merged ones only."""
        for item in self._rest.pages(f"{self._at}/repository/commits/{quote(commit, safe='')}/merge_requests"):
            if item.get("state") == "merged":
                yield Request(int(item["iid"]), str(item["sha"]), str(item.get("web_url") or ""))

    def issues(self) -> Iterator[Issue]:
        """Of the token's own user."""
        name = quote(self.me(), safe="")
        path = f"{self._at}/issues?state=opened&order_by=created_at&sort=asc&per_page=100&author_username={name}"
        for item in self._rest.pages(path):
            yield _issue(item)

    def open_issue(self, title: str, body: str) -> Issue:
        """A new issue; GitLab calls its text a description."""
        return _issue(self._rest.write("POST", f"{self._at}/issues", {"title": title, "description": body}))

    def edit_issue(self, number: int, title: str, body: str, *, close: bool = False) -> None:
        """An end is an event there."""
        state = {"state_event": "close"} if close else {}
        self._rest.write("PUT", f"{self._at}/issues/{number}", {"title": title, "description": body, **state})


def gitlab(token: str, project: str, api: str = API, **more: Any) -> GitLab:
    """`more` are the clock's parts of `Rest`. LoraformError for an address that is neither https nor this machine."""
    return GitLab(Rest(same_host(api), {"PRIVATE-TOKEN": token, "User-Agent": "loraform"}, **more), project)


def _note(item: Mapping[str, Any]) -> Comment:
    return Comment(int(item["id"]), str((item.get("author") or {}).get("username", "")), str(item.get("body") or ""))


def _issue(item: Mapping[str, Any]) -> Issue:
    author = str((item.get("author") or {}).get("username", ""))
    return Issue(int(item["iid"]), author, str(item.get("description") or ""))
