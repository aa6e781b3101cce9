"""Print how many small objects a second the store takes and gives, with a raw HTTP client in its own process.

Not a test: run `python tests/emulator/gcs/rates.py`. The client writes requests over plain sockets, because a client
library would be slower than the server.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

CONNECTIONS = 8
SECONDS = 3.0
CONTENT = b"x" * 1000


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        serve = [sys.executable, str(Path(__file__).with_name("serve.py")), root]
        with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            port = int(server.stdout.readline().rsplit(":", 1)[1])
            try:
                _measure(port)
            finally:
                server.terminate()


def _measure(port: int) -> None:
    connection = socket.create_connection(("127.0.0.1", port))
    _exchange(connection, _request("POST", "/storage/v1/b?project=p", b'{"name": "rates"}'))
    _exchange(connection, _put(0, 0))
    get = _request("GET", "/download/storage/v1/b/rates/o/0-0?alt=media", b"")
    stat = _request("GET", "/storage/v1/b/rates/o/0-0", b"")
    page = _request("GET", "/storage/v1/b/rates/o?maxResults=100", b"")
    for label, request in (
        ("uploads of 1,000 bytes", _put),
        ("downloads of 1,000 bytes", lambda *_: get),
        ("records", lambda *_: stat),
        ("lists of 100", lambda *_: page),
    ):
        print(f"{label}: {_rate(port, request):,.0f}/s")


def _rate(port: int, request: Callable[[int, int], bytes]) -> float:
    counts = [0] * CONNECTIONS
    begun = time.monotonic()

    def work(number: int) -> None:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.monotonic() < begun + SECONDS:
            _exchange(connection, request(number, counts[number]))
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - begun)


def _put(number: int, count: int) -> bytes:
    return _request("POST", f"/upload/storage/v1/b/rates/o?uploadType=media&name={number}-{count}", CONTENT)


def _request(method: str, target: str, body: bytes) -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _exchange(connection: socket.socket, request: bytes) -> None:
    connection.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(1 << 16)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(1 << 16)


if __name__ == "__main__":
    main()
