"""`loraform explain` against a real embedded Vertex AI: a failed training is named, mended, and trained."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from reconciler.cli.main import run
from tests.cli.conftest import Loraform, write_experiment
from tests.cli.test_apply import PROGRAMS
from tests.emulator_fixture import emulator_calls, emulator_card, post, running_emulator

pytestmark = pytest.mark.slow


def answer(*arguments: str) -> subprocess.CompletedProcess[str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(list(arguments))
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@pytest.fixture
def up(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loraform]:
    """The command, in this process, beside a running embedded Vertex AI."""
    monkeypatch.chdir(repository)

    with running_emulator(repository / ".loraform/vertex", PROGRAMS):
        yield answer


def order(repository: Path, effect: dict[str, object], times: int = 1, method: str = "*CreateCustomJob") -> None:
    url = emulator_card(repository / ".loraform/vertex")["url"]
    post(f"{url}/emulator/faults", {"match": {"method": method}, "times": times, "effect": effect})


def test_a_training_without_memory_is_mended_by_its_patches(up: Loraform, repository: Path) -> None:
    write_experiment(repository, "bot", training={"seed": 9, "per_device_train_batch_size": 8})
    subprocess.run(["git", "init", "-q"], cwd=repository, check=True)
    up("apply", "--wait")

    planned, status, explained = up("plan"), up("status"), up("explain", "bot")
    patches = []
    for _ in range(2):
        patches.append(up("explain", "bot", "--patch").stdout)
        subprocess.run(["git", "apply"], input=patches[-1], text=True, cwd=repository, check=True)
        again = up("plan")
        assert again.returncode == 2, again.stdout
        assert "run again" in again.stdout
        up("apply", "--wait")
    after = up("explain", "bot")

    assert planned.returncode == 3
    assert "out-of-gpu-memory: the memory of the GPU is too small" in planned.stdout
    assert "torch.OutOfMemoryError: CUDA out of memory." in planned.stdout
    assert "See `loraform explain bot`." in planned.stdout
    assert "out-of-gpu-memory" in status.stdout
    assert explained.returncode == 0
    assert "| torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.96 GiB." in explained.stdout
    assert explained.stdout.endswith(patches[0])
    assert "-  per_device_train_batch_size: 8\n+  per_device_train_batch_size: 4\n" in patches[0]
    assert "+  per_device_train_batch_size: 2\n+  gradient_accumulation_steps: 4\n" in patches[1]
    assert after.stdout.startswith("Nothing of bot waits because of a failure")
    assert after.stdout.count("out-of-gpu-memory") == 2
    assert up("plan").returncode == 0


def test_a_passing_failure_says_when_it_is_tried_again(up: Loraform, repository: Path) -> None:
    write_experiment(repository, "bot", run={"scheduling": {"strategy": "spot"}})
    order(repository, {"stock_out": "run"}, times=9)
    up("apply")
    for _ in range(50):
        planned = up("plan")
        if "stock-out" in planned.stdout:
            break

    explained, patch = up("explain", "bot"), up("explain", "bot", "--patch")

    assert "stock-out: the region has no free machine of this kind" in planned.stdout
    assert "try 2 of 5 from " in planned.stdout
    assert "It is tried again by itself" in explained.stdout
    assert "strategy:\n" in patch.stdout or "[spot, standard]" in patch.stdout


def test_what_never_failed_has_neither_an_explanation_nor_a_patch(up: Loraform, repository: Path) -> None:
    write_experiment(repository, "bot")

    explained, patch, unknown = up("explain", "bot"), up("explain", "bot", "--patch"), up("explain", "bat")

    assert explained.returncode == 0
    assert "Nothing of bot waits because of a failure" in explained.stdout
    assert (patch.returncode, patch.stdout) == (1, "")
    assert "There is no patch for bot." in patch.stderr
    assert unknown.returncode == 1
    assert "Did you mean `bot`?" in unknown.stderr


SERVER = """
import sys
print("INFO loading the base")
print("ValueError: To serve at least one request with the model's max seq len (4096), (0.50 GiB KV cache is needed, "
      "which is larger than the available KV cache memory (0.20 GiB). Based on the available memory, the estimated "
      "maximum model length is 1638.")
sys.exit(1)
"""


def test_a_failed_deployment_is_held_with_the_end_of_its_servers_log(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    server = repository / "server.py"
    server.write_text(SERVER)
    write_experiment(repository, "bot", serving={"max_replica_count": 1, "engine": {"max_model_len": 4096}})
    subprocess.run(["git", "init", "-q"], cwd=repository, check=True)
    programs = {**PROGRAMS, "loraform/serve": [sys.executable, str(server)]}

    with running_emulator(repository / ".loraform/vertex", programs):
        applied = answer("apply", "--wait")
        again, planned, explained = answer("apply", "--wait"), answer("plan"), answer("explain", "bot")
        patch = answer("explain", "bot", "--patch").stdout
        subprocess.run(["git", "apply"], input=patch, text=True, cwd=repository, check=True)
        after = answer("plan")
        deploys = calls(repository, "EndpointService.DeployModel")

    assert applied.returncode == again.returncode == planned.returncode == 3
    assert deploys == 1
    assert "context-too-long: the GPU has no room for one answer of this length" in planned.stdout
    assert "| INFO loading the base" in explained.stdout
    assert "+    max_model_len: 1632" in patch
    assert "serving.engine.max_model_len  4096 -> 1632" in after.stdout


def calls(repository: Path, method: str) -> int:
    url = emulator_card(repository / ".loraform/vertex")["url"]
    return sum(call["method"] == method for call in emulator_calls(url))
