"""A real embedded Vertex AI for tests of any room: `with running_emulator(folder, programs) as url: ...`.

It is the process that users run (`python -m reconciler.emulator`), reached over HTTP by Google's own clients.
`programs` maps image names to argv lists, or to "hold" (a job that runs until `finish_job`) or "stub" (a server that
is ready at once and answers with its own input).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Programs = Mapping[str, Sequence[str] | str]


def start_emulator(
    state: Path,
    programs: Programs,
    *options: str,
    within_s: float = 60.0,
    module: Sequence[str] = ("-m", "reconciler.emulator"),
) -> subprocess.Popen[bytes]:
    """Start a server and return its process once it answers. Its output goes to `state/server.log`.

    `module` is what Python runs, for servers that come to a bad end.
    """
    state.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *module, "--state", str(state), "--programs", json.dumps(programs)]
    with (state / "server.log").open("ab") as log:
        process = subprocess.Popen([*command, *options], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + within_s
    while emulator_card(state).get("pid") != process.pid:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise AssertionError(f"the server did not start: {(state / 'server.log').read_text(encoding='utf-8')}")
        time.sleep(0.01)
    return process


def emulator_card(state: Path) -> dict[str, Any]:
    """What `server.json` says: `pid`, `port`, `url`, `started`; empty when there is none."""
    try:
        card: dict[str, Any] = json.loads((state / "server.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return card


def stop_emulator(process: subprocess.Popen[bytes], within_s: float = 20.0) -> int:
    """SIGTERM, and the exit code."""
    process.terminate()
    try:
        return process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


@contextmanager
def running_emulator(state: Path, programs: Programs, *options: str) -> Iterator[str]:
    """A server for the length of a `with` block: gives its URL."""
    process = start_emulator(state, programs, *options)
    try:
        yield emulator_card(state)["url"]
    finally:
        stop_emulator(process)


def finish_job(url: str, job: str, state: str = "JOB_STATE_SUCCEEDED", message: str = "") -> None:
    """End a custom job (name or id) as a test wants it to end."""
    post(f"{url}/emulator/jobs/{job.rsplit('/', 1)[-1]}:finish", {"state": state, "message": message})


def emulator_calls(url: str) -> list[dict[str, Any]]:
    """Every API call so far: `time`, `method`, `resource`, `status`."""
    with urllib.request.urlopen(f"{url}/emulator/calls", timeout=10) as answer:
        calls: list[dict[str, Any]] = json.load(answer)["calls"]
    return calls


def forget_calls(url: str) -> None:
    """Empty the record of calls."""
    post(f"{url}/emulator/calls:reset", {})


def post(url: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
    """POST JSON, get JSON. Raises `urllib.error.HTTPError`."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
