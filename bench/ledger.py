"""The ledger of 1,000 experiments with 10,000 commits: git alone is asked, and a whole site is written."""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.timing import Figure, command, figure

EXPERIMENTS, COMMITS = 1_000, 10_000
_BEGAN = 1_760_000_000
_KEYS = ("adapter: {r: %d}", "training: {learning_rate: %de-6}", "owner: team-%d", "run: {attempt: %d}")


def figures() -> Iterator[Figure]:
    """The whole command, as a person waits for it; pages in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        root, out = Path(folder) / "fleet", Path(folder) / "site"
        write_branch(root, EXPERIMENTS, COMMITS)
        loraform = str(Path(sys.executable).with_name("loraform"))
        run = command(loraform, "ledger", "--offline", "--out", str(out), folder=root)
        begun = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        measured = figure("loraform ledger --offline", run, 1, experiments=EXPERIMENTS, commits=COMMITS)
        measured["cpu_s"] = round((resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - begun) / 2, 1)
        sizes = [file.stat().st_size for file in out.rglob("*.html")]
        yield {**measured, "pages": len(sizes), "largest_page": max(sizes), "bytes": sum(sizes)}


def write_branch(root: Path, experiments: int, commits: int) -> None:
    """A repository whose first commit has all experiments, and every further one changes one of them."""
    root.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(root)], check=True)
    stream = io.BytesIO()

    def commit(number: int, subject: str) -> None:
        text = f"author {number % 7}"
        who = f"{text} <a@example.com> {_BEGAN + 600 * number} +0000"
        stream.write(f"commit refs/heads/main\nauthor {who}\ncommitter {who}\n".encode())
        stream.write(f"data {len(subject.encode())}\n{subject}\n".encode())

    def put(path: str, text: str) -> None:
        stream.write(f"M 100644 inline {path}\ndata {len(text.encode())}\n{text}\n".encode())

    commit(0, "Begin")
    put(".gitignore", ".loraform/\n")
    put("loraform.yaml", "apiVersion: loraform/v1\nkind: Project\nfleet: bench\n")
    put("rows.jsonl", '{"messages": []}\n')
    put("base/config.json", "{}")
    for at in range(experiments):
        put(f"experiments/bot-{at}.yaml", _manifest(at, 0))
    for number in range(1, commits):
        at, turn = number % experiments, 1 + number // experiments
        commit(number, f"bot-{at}: change number {turn}, since the one before was not the last")
        put(f"experiments/bot-{at}.yaml", _manifest(at, turn))
    subprocess.run(["git", "-C", str(root), "fast-import", "--quiet"], input=stream.getvalue(), check=True)
    subprocess.run(["git", "-C", str(root), "reset", "--quiet", "--hard"], check=True)


def _manifest(at: int, turn: int) -> str:
    """Each turn changes one line: what is learnt, by whom it is owned, or which try it is."""
    values = [8, 200, at % 9, 1]
    for step in range(1, turn + 1):
        values[step % len(values)] += 1
    lines = [key % value for key, value in zip(_KEYS, values, strict=True)]
    return "\n".join(
        [
            "apiVersion: loraform/v1", "kind: Experiment", f"name: bot-{at}", "model: {base: ./base}",
            "data: {train: rows.jsonl}", "serving: {max_replica_count: 1}", *lines, "",
        ]
    )  # fmt: skip
