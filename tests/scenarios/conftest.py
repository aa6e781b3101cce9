"""A user's repository with a real base model, real data and the real command; nothing is pretended."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1

PROJECT = Path(__file__).parents[2]
LORAFORM = str(Path(sys.executable).with_name("loraform"))
MANIFEST = Path("experiments/acme-support.yaml")
EVAL = Path("experiments/data/acme-support/eval.jsonl")


@dataclass(frozen=True)
class Repository:
    """A clone as a user has it, with its own git history and its own embedded Vertex AI."""

    root: Path

    def loraform(self, *arguments: str, expect: int = 0) -> str:
        """Run the command here; its standard output. Fails with everything it printed on another exit code."""
        done = subprocess.run([LORAFORM, *arguments], cwd=self.root, capture_output=True, text=True, timeout=840)
        assert done.returncode == expect, f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def plan(self, expect: int = 2) -> dict[str, Any]:
        """The plan as JSON."""
        found: dict[str, Any] = json.loads(self.loraform("plan", "--format", "json", expect=expect))
        return found

    def edit(self, before: str, after: str, message: str) -> None:
        """Replace a text that stands exactly once in the manifest, and commit."""
        path = self.root / MANIFEST
        text = path.read_text()
        assert text.count(before) == 1, before
        path.write_text(text.replace(before, after))
        self.git("commit", "--quiet", "--all", "--message", message)

    def git(self, *arguments: str) -> str:
        """Run git here."""
        who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
        return subprocess.run(
            ["git", *who, *arguments], cwd=self.root, capture_output=True, text=True, check=True
        ).stdout

    @property
    def url(self) -> str:
        """The address of the embedded Vertex AI."""
        return str(json.loads((self.root / ".loraform/vertex/server.json").read_text())["url"])

    def calls(self, method: str) -> int:
        """How often a method was called since the embedded Vertex AI was started."""
        with urllib.request.urlopen(f"{self.url}/emulator/calls", timeout=10) as answer:
            calls = json.load(answer)
        listed = calls["calls"] if isinstance(calls, dict) else calls
        return sum(call["method"].rsplit(".", 1)[-1] == method for call in listed)

    def first_row(self) -> tuple[str, str]:
        """The first held-out question and its answer."""
        turns = json.loads((self.root / EVAL).read_text().splitlines()[0])["messages"]
        return turns[-2]["content"], turns[-1]["content"]

    def right_answers(self, experiment: str) -> float:
        """The share of held-out questions that the served adapter answers exactly right, asked by Google's client."""
        rows = [json.loads(line)["messages"] for line in (self.root / EVAL).read_text().splitlines()]
        client = aiplatform_v1.PredictionServiceClient(
            transport="rest",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.url},
        )
        endpoint = f"projects/loraform-local/locations/us-central1/endpoints/lf-acme-{experiment}"
        answered = client.predict(endpoint=endpoint, instances=[{"prompt": turns[-2]["content"]} for turns in rows])
        texts = [dict(prediction)["generated_text"] for prediction in answered.predictions]
        right = sum(text == turns[-1]["content"] for text, turns in zip(texts, rows, strict=True))
        return right / len(rows)


@pytest.fixture(scope="session")
def tiny_base() -> Path:
    """The tiny base model, made once and kept for later runs."""
    folder = PROJECT / ".loraform/tiny-base"
    subprocess.run([sys.executable, "-m", "images.tiny", "--out", str(folder)], check=True, cwd=PROJECT)
    return folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Iterator[Repository]:
    """A fresh repository on branch main; at the end its embedded Vertex AI is stopped and nothing is left running."""
    root = tmp_path_factory.mktemp("acme")
    for name in ("loraform.yaml", ".gitignore"):
        shutil.copy(PROJECT / name, root / name)
    shutil.copytree(PROJECT / "experiments", root / "experiments")
    shutil.copytree(tiny_base, root / ".loraform/tiny-base")
    made = Repository(root)
    made.git("init", "--quiet", "--initial-branch=main")
    made.git("add", ".")
    made.git("commit", "--quiet", "--message", "support: say where each product is made")
    yield made
    made.loraform("down")
    assert not _processes_in(root)


def _processes_in(root: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(root) in line:
            found.append(line)
    return found
