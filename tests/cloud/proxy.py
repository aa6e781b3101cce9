"""A proxy between Google's clients and the embedded Vertex AI in which a test decides what gets through."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class Judge(Protocol):
    """Decides about requests by their first line, such as `POST /v1/...`."""

    def passes(self, line: str) -> bool:
        """Whether the request is passed on; else the connection breaks before it had any effect."""

    def answers(self, line: str) -> bool:
        """Whether its answer is passed back; else the connection breaks after the effect."""


class Assassin:
    """Kills the sender at its `nth` changing request, before it arrives or after its effect; then nothing passes."""

    def __init__(self, nth: int, *, before: bool = False) -> None:
        self.victim = 0
        self.seen: list[str] = []
        self._nth = nth
        self._before = before
        self._chosen: int | None = None
        self._lock = threading.Lock()
        self._struck = False

    def passes(self, line: str) -> bool:
        with self._lock:
            if not self._struck and not line.startswith("GET "):
                self.seen.append(line)
                if len(self.seen) == self._nth:
                    self._chosen = threading.get_ident()
                    if self._before:
                        self._strike()
            return not self._struck

    def answers(self, line: str) -> bool:
        with self._lock:
            if not self._struck and self._chosen == threading.get_ident():
                self._strike()
            return not self._struck

    def _strike(self) -> None:
        self._struck = True
        os.kill(self.victim, signal.SIGKILL)


class Lossy:
    """Breaks the connection for the first request that begins so: before it is passed on, or after its effect."""

    def __init__(self, beginning: str, *, after: bool) -> None:
        self.broke = 0
        self._beginning = beginning
        self._after = after

    def passes(self, line: str) -> bool:
        return self._after or not self._breaks(line)

    def answers(self, line: str) -> bool:
        return not self._after or not self._breaks(line)

    def _breaks(self, line: str) -> bool:
        if self.broke or not line.startswith(self._beginning):
            return False
        self.broke += 1
        return True


@contextmanager
def running_proxy(upstream: str, judge: Judge) -> Iterator[str]:
    """The URL of a proxy in front of `upstream` that asks `judge` about every request."""
    place = urlsplit(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            line = f"{self.command} {self.path}"
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if not judge.passes(line):
                self.close_connection = True
                return
            connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
            headers = {key: value for key, value in self.headers.items() if key.lower() not in HOP_BY_HOP}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if not judge.answers(line):
                self.close_connection = True
                return
            self.send_response_only(answer.status, answer.reason)
            for key, value in answer.getheaders():
                if key.lower() not in HOP_BY_HOP:
                    self.send_header(key, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any  # noqa: N815 - http.server's names

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # the other end died, as it should

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
