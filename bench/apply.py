"""One apply of 100 new experiments, a job and an endpoint each: one change at a time, ten, forty; whole process.

Every request takes 150 ms more than on this machine, as it does on the way to a cloud. With a quota of 60 submissions a
minute the 200 submissions cannot take less than a little over two minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.timing import Figure
from tests.cli.conftest import write_experiment
from tests.emulator_fixture import emulator_calls, emulator_card, post, running_emulator

LORAFORM = str(Path(sys.executable).with_name("loraform"))
PROGRAMS = {"loraform/train": "hold", "loraform/serve": "stub"}
COUNT = 100
LATENCY = 0.15


def figures() -> Iterator[Figure]:
    """Seconds, and the answers to the calls that create."""
    for parallelism in (1, 10, 40):
        yield _one(parallelism, LATENCY)
    quotas = [{"metric": "job_submission_requests", "limit": 60}]
    yield {**_one(10, 0.0, quotas), "quota_a_minute": 60}


def _one(parallelism: int, latency: float, quotas: Sequence[object] = ()) -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        root, table = Path(folder) / "repository", Path(folder) / "quotas.json"
        root.mkdir()
        policy = f"{{max_new_runs: {COUNT}}}"
        (root / "loraform.yaml").write_text(f"apiVersion: loraform/v1\nkind: Project\nfleet: acme\npolicy: {policy}\n")
        for number in range(COUNT):
            write_experiment(root, f"bot-{number:03}", training={"seed": number + 1})
        table.write_text(json.dumps(quotas))
        options = ("--jobs-at-once", "1000", "--quotas", str(table))
        with running_emulator(root / ".loraform/vertex", PROGRAMS, *options):
            url = emulator_card(root / ".loraform/vertex")["url"]
            if latency:
                post(f"{url}/emulator/faults", {"match": {}, "times": None, "effect": {"delay_s": latency}})
            begin = time.perf_counter()
            words = [LORAFORM, "apply", "--parallelism", str(parallelism)]
            subprocess.run(words, cwd=root, check=True, stdout=subprocess.DEVNULL)
            spent = time.perf_counter() - begin
            made = Counter(
                f"{call['method'].rpartition('.')[2]} {call['status']}"
                for call in emulator_calls(url)
                if call["method"].endswith(("CreateCustomJob", "CreateEndpoint"))
            )
    name = f"apply {COUNT} new experiments, {parallelism} at a time"
    return {"figure": name, "s": round(spent, 1), "latency_s": latency, "answers": dict(sorted(made.items()))}
