"""REST as code hosts speak it: pages by `Link` headers, limits by `Retry-After`, and errors in one's own words.

A request is repeated only where that is harmless: after a refusal for too many requests, or when it only reads. What a
lost answer to a write did is for the caller to look at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from reconciler.core.errors import CloudError, Conflict, LoraformError, NotFound, Retryable, Terminal

TIMEOUT = (10.0, 30.0)
"""Seconds to connect, and between two bytes of an answer."""
PATIENCE = 300.0
"""Seconds that are waited for a limit in all; hosts name up to an hour, which no build should wait."""
_ATTEMPTS = 5
_PAGES = 200
_LIMITED = 429


@dataclass(slots=True)
class Rest:
    """One host's API. `root` ends with a slash; `headers` hold the credentials, and are sent nowhere else."""

    root: str
    headers: Mapping[str, str]
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time
    patience: float = PATIENCE
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        return self._json(self._send("GET", self._url(path)))

    def pages(self, path: str) -> Iterator[Any]:
        """All items of a list, page after page."""
        url: str | None = self._url(path)
        for _ in range(_PAGES):
            if url is None:
                return
            answer = self._send("GET", url)
            items = self._json(answer)
            if not isinstance(items, list):
                raise Terminal(f"{_named(url)} is no list", code=answer.status_code)
            yield from items
            following = answer.links.get("next", {}).get("url")
            url = self._next(url, following) if following else None
        raise Terminal(f"{path} has more than {_PAGES} pages")

    def write(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST, PATCH, PUT or DELETE; the JSON of the answer, None where it has none."""
        answer = self._send(method, self._url(path), body)
        return self._json(answer) if answer.content else None

    def _url(self, path: str) -> str:
        return urljoin(self.root, path.lstrip("/"))

    def _next(self, url: str, following: str) -> str:
        """Credentials go to the host that was named, and to no other that an answer names."""
        found = urljoin(url, following)
        if urlsplit(found)[:2] != urlsplit(self.root)[:2]:
            raise Terminal(f"{_named(url)} names a next page on another host")
        return found

    def _send(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> requests.Response:
        waited = 0.0
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = self.session.request(
                    method, url, json=body, headers=dict(self.headers), timeout=TIMEOUT, allow_redirects=method == "GET"
                )
            except requests.RequestException as error:
                if method != "GET" or attempt >= _ATTEMPTS:
                    raise Retryable(f"{_named(url)} gave no answer: {type(error).__name__}") from error
                pause = min(2.0**attempt, self.patience - waited)
            else:
                if answer.status_code < 300:
                    return answer
                named = self._pause(answer, method, attempt)
                if named is None:
                    raise _error(answer, method)
                pause = named
                if waited + pause > self.patience:
                    raise Retryable(
                        f"{_named(url)} wants {pause:.0f} s of patience for its limit of requests",
                        status="RESOURCE_EXHAUSTED",
                        code=answer.status_code,
                        remedy="Run it again later.",
                    )
            waited += pause
            self.sleep(pause)

    def _pause(self, answer: requests.Response, method: str, attempt: int) -> float | None:
        """How long to wait before the same again; None when that would not help."""
        limited = answer.status_code == _LIMITED or (
            answer.status_code == 403
            and ("Retry-After" in answer.headers or answer.headers.get("X-RateLimit-Remaining") == "0")
        )
        if limited:
            named = _seconds(answer.headers.get("Retry-After"))
            if named is not None:
                return named
            reset = _seconds(answer.headers.get("X-RateLimit-Reset") or answer.headers.get("RateLimit-Reset"))
            return max(reset - self.now(), 1.0) if reset is not None else min(15.0 * attempt, 60.0)
        if answer.status_code >= 500 and method == "GET" and attempt < _ATTEMPTS:
            return 2.0**attempt
        return None

    def _json(self, answer: requests.Response) -> Any:
        try:
            return answer.json()
        except ValueError as error:
            raise Terminal(f"{_named(answer.url)} did not answer in JSON", code=answer.status_code) from error


def same_host(url: str) -> str:
    """A root URL with a slash at its end. LoraformError unless it is https, or this machine."""
    parts = urlsplit(url)
    near = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not parts.hostname or (parts.scheme != "https" and not (near and parts.scheme == "http")):
        raise LoraformError(f"{url} is no https address: a token would be sent in the clear.")
    return url.rstrip("/") + "/"


def _seconds(text: str | None) -> float | None:
    try:
        return max(float(text), 0.0) if text else None
    except ValueError:
        return None


def _named(url: str) -> str:
    """A URL without its query: what people need to find the place."""
    return url.split("?", 1)[0]


def _error(answer: requests.Response, method: str) -> CloudError:
    try:
        told = answer.json()
    except ValueError:
        told = None
    said = told.get("message") or told.get("error") if isinstance(told, dict) else None
    message = f"{method} {_named(answer.url)}: {answer.status_code} {said or answer.reason or ''}".rstrip()
    kinds: Mapping[int, tuple[type[CloudError], str]] = {
        401: (Terminal, "The token is missing, wrong or too old."),
        403: (Terminal, "The token may not do this: see the permissions that docs/pull-requests.md lists."),
        404: (NotFound, "Either it does not exist, or the token may not see it."),
        409: (Conflict, ""),
        410: (NotFound, ""),
    }
    kind, remedy = kinds.get(answer.status_code, (Retryable if answer.status_code >= 500 else Terminal, ""))
    return kind(message, code=answer.status_code, remedy=remedy)
