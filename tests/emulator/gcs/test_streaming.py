"""A large object goes up, is copied, composed and comes down without being held in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import httpx
import pytest

MEBIBYTE = 1 << 20
SIZE = 300 * MEBIBYTE
ALLOWED = 48 * MEBIBYTE
"""By how much the server may grow at its highest."""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[int, httpx.Client]]:
    command = [sys.executable, str(Path(__file__).with_name("serve.py")), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        with httpx.Client(base_url=server.stdout.readline().strip(), timeout=120) as http:
            http.post("/storage/v1/b", json={"name": "large"})
            yield server.pid, http
        server.terminate()


def highest_memory(pid: int) -> int:
    """Return the greatest resident size of a process so far, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads the memory of a process from /proc")
def test_300_mib_go_through_within_48_mib(running: tuple[int, httpx.Client]) -> None:
    pid, http = running
    block = os.urandom(MEBIBYTE)
    sent = google_crc32c.Checksum()
    for _ in range(SIZE // MEBIBYTE):
        sent.update(block)
    before = highest_memory(pid)

    def blocks() -> Iterator[bytes]:
        for _ in range(SIZE // MEBIBYTE):
            yield block

    where = "/upload/storage/v1/b/large/o?uploadType=media&name=one"
    uploaded = http.post(where, content=blocks(), headers={"content-length": str(SIZE)})
    http.post("/storage/v1/b/large/o/one/rewriteTo/b/large/o/two")
    composed = http.post("/storage/v1/b/large/o/three/compose", json={"sourceObjects": [{"name": "two"}]})
    http.delete("/storage/v1/b/large/o/one")
    received = google_crc32c.Checksum()
    with http.stream("GET", "/download/storage/v1/b/large/o/three?alt=media") as answer:
        for piece in answer.iter_bytes():
            received.update(piece)

    assert (uploaded.json()["size"], composed.json()["size"]) == (str(SIZE), str(SIZE))
    assert received.digest() == sent.digest()
    assert highest_memory(pid) - before < ALLOWED
