"""kill -9 in the middle of writing: every object is the old one or the new one, and nothing is left lying about."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import google_crc32c
import httpx
import pytest

from reconciler.emulator.gcs.blobs import Spool
from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.gcs.listing import Query

QUANTUM = 256 * 1024


@contextmanager
def server(root: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve `root` in a process of its own; yields it and its address."""
    command = [sys.executable, str(Path(__file__).with_name("serve.py")), str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL) as found:
        assert found.stdout is not None
        try:
            yield found, found.stdout.readline().strip()
        finally:
            found.kill()


def opened(root: Path) -> Buckets:
    return Buckets(root, lambda: datetime.now(UTC))


def content_of(name: str, turn: int) -> bytes:
    """Bytes that tell which write they come from, of different lengths."""
    return f"{name}-{turn}.".encode() * (2_000 + 31 * turn)


def write_until_killed(url: str, name: str, last: dict[str, int]) -> None:
    """Overwrite one object again and again; `last` is the last write that was acknowledged."""
    turn = 0
    with httpx.Client(base_url=url) as http:
        while True:
            where = f"/upload/storage/v1/b/crash-test/o?uploadType=media&name={name}"
            try:
                answer = http.post(where, content=content_of(name, turn))
            except httpx.TransportError:
                return
            assert answer.status_code == 200
            last[name] = turn
            turn += 1


@pytest.mark.parametrize("delay", [0.0, 0.2, 0.5])
def test_a_kill_leaves_old_objects_or_new_ones_and_never_half_of_one(tmp_path: Path, delay: float) -> None:
    names = [f"object-{number}" for number in range(4)]
    last: dict[str, int] = {}
    with server(tmp_path) as (running, url):
        httpx.post(f"{url}/storage/v1/b", json={"name": "crash-test"})
        writers = [threading.Thread(target=write_until_killed, args=(url, name, last)) for name in names]
        for writer in writers:
            writer.start()
        while len(last) < len(names):
            time.sleep(0.01)
        time.sleep(delay)
        os.kill(running.pid, signal.SIGKILL)
        for writer in writers:
            writer.join()

    buckets = opened(tmp_path)

    page = buckets.list_objects("crash-test", Query())
    for item in page.items:
        content = buckets.read("crash-test", item.name)
        crc32c = base64.b64encode(google_crc32c.Checksum(content).digest()).decode()
        assert (len(content), crc32c) == (item.size, item.crc32c)
        # What was acknowledged is there; the write that was cut off may be there or not.
        assert content in {content_of(item.name, last[item.name]), content_of(item.name, last[item.name] + 1)}
    assert {item.name for item in page.items} >= set(last)
    assert buckets.blobs.spools() == []
    assert len(list(tmp_path.glob("blobs/*/*"))) == len(page.items)
    buckets.close()


def test_a_resumable_upload_goes_on_after_a_kill(tmp_path: Path) -> None:
    content = os.urandom(3 * QUANTUM + 99)
    with server(tmp_path) as (running, url):
        httpx.post(f"{url}/storage/v1/b", json={"name": "crash-test"})
        where = f"{url}/upload/storage/v1/b/crash-test/o?uploadType=resumable&name=big"
        session = httpx.post(where, json={"metadata": {"k": "v"}}).headers["location"]
        headers = {"content-range": f"bytes 0-{2 * QUANTUM - 1}/*"}
        assert httpx.put(session, content=content[: 2 * QUANTUM], headers=headers).status_code == 308
        os.kill(running.pid, signal.SIGKILL)
        running.wait()

    with server(tmp_path) as (_, again):
        session = session.replace(url, again)
        asked = httpx.put(session, headers={"content-range": "bytes */*"})
        headers = {"content-range": f"bytes {2 * QUANTUM}-{len(content) - 1}/{len(content)}"}
        answer = httpx.put(session, content=content[2 * QUANTUM :], headers=headers)

        assert asked.headers["range"] == f"bytes=0-{2 * QUANTUM - 1}"
        assert (answer.status_code, answer.json()["metadata"]) == (200, {"k": "v"})
        assert httpx.get(f"{again}/download/storage/v1/b/crash-test/o/big?alt=media").content == content


def test_generations_go_on_growing_when_the_clock_goes_back(tmp_path: Path) -> None:
    buckets = opened(tmp_path)
    buckets.create_bucket("crash-test")
    first = buckets.put("crash-test", "one", b"1").generation
    buckets.delete("crash-test", "one")
    buckets.close()

    buckets = Buckets(tmp_path, lambda: datetime(2001, 1, 1, tzinfo=UTC))
    second = buckets.put("crash-test", "one", b"2").generation
    buckets.close()

    assert second > first


def test_a_directory_belongs_to_one_server_at_a_time(tmp_path: Path) -> None:
    buckets = opened(tmp_path)

    with pytest.raises(RuntimeError, match="in use by another running server"):
        opened(tmp_path)

    buckets.close()
    opened(tmp_path).close()


def test_a_write_that_was_cut_off_is_swept_away_at_the_next_start(tmp_path: Path) -> None:
    buckets = opened(tmp_path)
    written(buckets).pause()
    buckets.blobs.keep(buckets.blobs.finish(written(buckets)))
    buckets.close()

    buckets = opened(tmp_path)

    assert buckets.blobs.spools() == []
    assert list(tmp_path.glob("blobs/*/*")) == []
    buckets.close()


def written(buckets: Buckets) -> Spool:
    """Bytes that no object will ever refer to."""
    spool = buckets.blobs.spool()
    spool.write(b"never named")
    return spool


def test_durable_writes_are_read_back(tmp_path: Path) -> None:
    buckets = Buckets(tmp_path, lambda: datetime.now(UTC), durable=True)
    buckets.create_bucket("crash-test")

    buckets.put("crash-test", "one", b"kept")

    assert buckets.read("crash-test", "one") == b"kept"
    buckets.close()
