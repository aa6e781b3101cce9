"""The port answers from the first second: 503 with the reason, until vLLM's server takes the same socket over.

A probe thus learns "fetching the base model" instead of "connection refused", and a taken port is an error at once
instead of after the model was loaded.
"""

from __future__ import annotations

import json
import selectors
import socket
import threading
from types import TracebackType

READ_SECONDS = 1.0
READ_BYTES = 65536


class Door:
    """A listening socket with a thread behind it that refuses politely. `socket` outlives the thread."""

    def __init__(self, host: str, port: int) -> None:
        """Bind and listen; OSError if the port is taken."""
        self.socket = socket.create_server((host, port), backlog=128)
        self.reason = "starting"
        self._closing, self._close = socket.socketpair()
        self._thread = threading.Thread(target=self._refuse, name="door", daemon=True)

    def __enter__(self) -> Door:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.hand_over()

    def hand_over(self) -> socket.socket:
        """Stop refusing. From here on whoever has the socket must accept; connections wait in its queue meanwhile."""
        if self._thread.is_alive():
            self._close.send(b"x")
            self._thread.join()
        self._close.close()
        self._closing.close()
        return self.socket

    def _refuse(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.register(self._closing, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._closing in ready:
                    return
                try:
                    connection, _ = self.socket.accept()
                    with connection:
                        self._answer(connection)
                except OSError:
                    continue

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(READ_SECONDS)
        head = b""
        while b"\r\n\r\n" not in head and len(head) < READ_BYTES:
            block = connection.recv(4096)
            if not block:
                return
            head += block
        body = json.dumps({"status": "starting", "reason": self.reason}).encode()
        connection.sendall(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
