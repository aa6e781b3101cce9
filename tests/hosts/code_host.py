"""A server on this machine that speaks as much of GitHub's and GitLab's REST as a pull request needs.

It follows what their documentation says of pages (`Link`), limits, wrong tokens and what is gone. A test may have it
refuse requests, or do them and lose the answer.
"""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKENS = {"bot-token": "github-actions[bot]", "octo-token": "octocat", "lab-token": "project_7_bot"}
MAY_NOT_ASK = {"bot-token"}
"""A workflow's token is nobody that /user would tell of."""


@dataclass
class Answer:
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class CodeHost:
    """All that it holds, in the open: tests look at it and put things into it."""

    url: str = ""
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    merged: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    issues: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    refuse: list[Answer] = field(default_factory=list)
    """Answers that are given in place of the next ones."""
    lose: int = 0
    """So many next writes are done, and their answers lost."""
    before_write: Callable[[], None] = lambda: None
    next_id: int = 100
    lock: threading.RLock = field(default_factory=threading.RLock)

    def put(self, number: int, author: str, body: str) -> dict[str, Any]:
        with self.lock:
            self.next_id += 1
            made = {"id": self.next_id, "user": {"login": author}, "author": {"username": author}, "body": body}
            self.comments[number].append(made)
            return made

    def bodies(self, number: int) -> list[str]:
        return [item["body"] for item in self.comments[number]]

    def find(self, wanted: int) -> tuple[list[dict[str, Any]], dict[str, Any]] | None:
        for listed in self.comments.values():
            for item in listed:
                if item["id"] == wanted:
                    return listed, item
        return None

    def answer(self, method: str, url: str, token: str, body: Any) -> Answer:
        parts = urlsplit(url)
        path, query = parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}
        if token not in TOKENS:
            return Answer(401, {"message": "Bad credentials"})
        who = TOKENS[token]
        if path.endswith("/user"):
            if token in MAY_NOT_ASK:
                return Answer(403, {"message": "Resource not accessible by integration"})
            return Answer(200, {"login": who, "username": who})
        listing = re.fullmatch(r".*/(?:issues|merge_requests)/(\d+)/(?:comments|notes)", path)
        if listing and method == "GET":
            return self.page(url, path, query, self.comments[int(listing[1])])
        if listing and method == "POST":
            return Answer(201, self.put(int(listing[1]), who, body["body"]))
        one = re.fullmatch(r".*/(?:issues/comments|merge_requests/\d+/notes)/(\d+)", path)
        if one:
            found = self.find(int(one[1]))
            if found is None:
                return Answer(404, {"message": "Not Found"})
            listed, item = found
            if method == "DELETE":
                listed.remove(item)
                return Answer(204)
            item["body"] = body["body"]
            return Answer(200, item)
        if path.endswith("/issues") and method == "GET":
            asked = query.get("creator") or query.get("author_username")
            shown = [item for item in self.issues if item["state"] == "open" and asked in (None, item["user"]["login"])]
            return self.page(url, path, query, shown)
        if path.endswith("/issues") and method == "POST":
            made = {"number": len(self.issues) + 1, "iid": len(self.issues) + 1, "state": "open", **_text(body)}
            self.issues.append({**made, "user": {"login": who}, "author": {"username": who}})
            return Answer(201, self.issues[-1])
        issue = re.fullmatch(r".*/issues/(\d+)", path)
        if issue:
            known = self.issues[int(issue[1]) - 1]
            known.update(_text(body))
            if body.get("state") == "closed" or body.get("state_event") == "close":
                known["state"] = "closed"
            return Answer(200, known)
        status = re.fullmatch(r".*/(?:commits|statuses)/([0-9a-f]+)(?:/statuses)?", path)
        if status and method == "GET":
            return self.page(url, path, query, self.statuses[status[1]])
        if status and method == "POST":
            if len(body.get("description", "")) > 140:
                return Answer(422, {"message": "description is too long"})
            said = {"context": body.get("context"), "name": body.get("name"), "status": body["state"], **body}
            self.statuses[status[1]].insert(0, said)
            return Answer(201, said)
        merged = re.fullmatch(r".*/commits/([0-9a-f]+)/(?:pulls|merge_requests)", path)
        if merged:
            return self.page(url, path, query, self.merged[merged[1]])
        return Answer(404, {"message": "Not Found"})

    def page(self, url: str, path: str, query: dict[str, str], items: list[Any]) -> Answer:
        size, number = min(int(query.get("per_page", 30)), 100), int(query.get("page", 1))
        begin = (number - 1) * size
        headers = {}
        if begin + size < len(items):
            headers["Link"] = f'<{self.url}{path}?per_page={size}&page={number + 1}>; rel="next"'
        return Answer(200, items[begin : begin + size], headers)


def _text(body: dict[str, Any]) -> dict[str, Any]:
    text = body.get("body", body.get("description", ""))
    return {"title": body["title"], "body": text, "description": text}


@contextmanager
def code_host() -> Iterator[CodeHost]:
    held = CodeHost()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            token = self.headers.get("PRIVATE-TOKEN") or self.headers.get("Authorization", "").removeprefix("Bearer ")
            held.calls.append(f"{self.command} {unquote(self.path)}")
            lost = False
            if self.command != "GET":
                held.before_write()
            with held.lock:
                if held.refuse:
                    answer = held.refuse.pop(0)
                else:
                    answer = held.answer(self.command, self.path, token, body)
                    if self.command != "GET" and held.lose:
                        held.lose -= 1
                        lost = True
            if lost:
                self.close_connection = True
                return
            text = b"" if answer.body is None else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    held.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
