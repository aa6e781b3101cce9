"""A proxy that counts the changing requests of one process and kills it when the Nth has taken effect."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class Assassin:
    """Lets requests through and their answers back until the `nth` changing one: then the sender is killed."""

    def __init__(self, nth: int) -> None:
        self.victim = 0
        self.url = ""
        self.seen: list[str] = []
        self._nth = nth
        self._lock = threading.Lock()
        self._struck = False

    def passes(self, line: str) -> bool:
        """Whether a request may be passed on. None is, once the sender is dead."""
        with self._lock:
            if self._struck:
                return False
            if line.startswith("GET "):
                return True
            self.seen.append(line)
            return True

    def answers(self, line: str) -> bool:
        """Whether its answer may be passed back. Kills after the effect if its time has come."""
        with self._lock:
            if not self._struck and len(self.seen) == self._nth and self.seen[-1] == line:
                self._struck = True
                os.kill(self.victim, signal.SIGKILL)
            return not self._struck


@contextmanager
def killing_proxy(upstream: str, nth: int) -> Iterator[Assassin]:
    """A proxy in front of `upstream`; give the victim `assassin.url`, and `assassin.victim` its pid."""
    assassin = Assassin(nth)
    place = urlsplit(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            line = f"{self.command} {self.path}"
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if not assassin.passes(line):
                self.close_connection = True
                return
            connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
            headers = {key: value for key, value in self.headers.items() if key.lower() not in HOP_BY_HOP}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if not assassin.answers(line):
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
            pass  # the victim's end of the connection died, as it should

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    assassin.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield assassin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
