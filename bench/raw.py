"""`python -m bench.raw URL`: requests a second over plain sockets, one JSON line. A process of its own, because a
client library costs more than the server that it would measure.
"""

from __future__ import annotations

import json
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

CONNECTIONS = 8
SECONDS, ROUNDS = 2.0, 3
JOBS, PAGE = 10_000, 100
PARENT = "/v1/projects/bench/locations/us-central1"
CONTAINER = {"imageUri": "hold", "args": ["--spec", "x" * 1000]}
POOL = {"containerSpec": CONTAINER, "machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": "1"}
JOB = {"displayName": "a job", "labels": {"loraform-fleet": "bench"}, "jobSpec": {"workerPoolSpecs": [POOL]}}


def measure(address: tuple[str, int]) -> dict[str, float]:
    """GETs and creates a second (medians of rounds), and seconds to list 10,000 jobs by pages of 100."""
    create = _request("POST", f"{PARENT}/customJobs", json.dumps(JOB).encode())
    with socket.create_connection(address) as connection:
        name = json.loads(_exchange(connection, create))["name"]
    gets = _rate(address, _request("GET", f"/v1/{name}"))
    made = [_rate_of_round(address, create) for _ in range(ROUNDS)]
    _fill(address, create, JOBS - 1 - sum(count for _, count in made))
    return {
        "gets_per_s": round(gets),
        "creates_per_s": round(statistics.median(rate for rate, _ in made)),
        "list_s": round(_list(address), 3),
    }


def _rate(address: tuple[str, int], request: bytes) -> float:
    return statistics.median(_rate_of_round(address, request)[0] for _ in range(ROUNDS))


def _rate_of_round(address: tuple[str, int], request: bytes) -> tuple[float, int]:
    """(answers a second, answers) of one round."""
    begin = time.perf_counter()
    count = _on_all(address, request, lambda done: time.perf_counter() - begin < SECONDS)
    return count / (time.perf_counter() - begin), count


def _fill(address: tuple[str, int], request: bytes, count: int) -> None:
    share, over = divmod(max(count, 0), CONNECTIONS)
    _on_all(address, request, lambda done: done < share)
    with socket.create_connection(address) as connection:
        for _ in range(over):
            _exchange(connection, request)


def _on_all(address: tuple[str, int], request: bytes, more: Callable[[int], bool]) -> int:
    """Send a request on every connection as long as `more(how many on this one)`; how many were answered."""
    counts = [0] * CONNECTIONS

    def work(number: int) -> None:
        with socket.create_connection(address) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while more(counts[number]):
                _exchange(connection, request)
                counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


def _list(address: tuple[str, int]) -> float:
    """Seconds for all pages, one after the other. Raises `AssertionError` when jobs are missing."""
    begin = time.perf_counter()
    seen, token = 0, ""
    with socket.create_connection(address) as connection:
        while True:
            target = f"{PARENT}/customJobs?pageSize={PAGE}&pageToken={token}"
            page = json.loads(_exchange(connection, _request("GET", target)))
            seen += len(page["customJobs"])
            token = page.get("nextPageToken", "")
            if not token:
                break
    spent = time.perf_counter() - begin
    assert seen >= JOBS, f"{seen} jobs were listed"
    return spent


def _request(method: str, target: str, body: bytes = b"") -> bytes:
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def _exchange(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _more(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += _more(connection)
    return body


def _more(connection: socket.socket) -> bytes:
    found = connection.recv(1 << 16)
    assert found, "the server closed the connection"
    return found


if __name__ == "__main__":
    parts = urlsplit(sys.argv[1])
    print(json.dumps(measure((str(parts.hostname), int(parts.port or 80)))))
