"""A plan says the same whatever it remembers and however many processes read for it: whole plans as JSON, compared."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import fleet, live
from reconciler.repo.many import WORTH_A_PROCESS
from reconciler.repo.sheet_files import FOLDER
from tests.emulator_fixture import running_emulator

pytestmark = pytest.mark.slow

SIZE = WORTH_A_PROCESS + 20


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fleet in sync, large enough for several processes, and something of it that git no longer has."""
    root = tmp_path_factory.mktemp("fleet") / "repository"
    fleet.write_repository(root, SIZE)
    live.fill(root, root / fleet.STATE)
    with running_emulator(root / fleet.STATE, fleet.PROGRAMS, "--jobs-at-once", "100000"):
        yield root


def planned(root: Path, *, one_processor: bool = False) -> tuple[int, str]:
    """(exit code, the plan as JSON)."""
    words = [fleet.LORAFORM, "plan", "--format", "json"]
    processors = os.sched_getaffinity(0)
    limit = (lambda: os.sched_setaffinity(0, {min(processors)})) if one_processor else None
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert done.returncode in (0, 2, 3), done.stderr
    return done.returncode, done.stdout


def forget(root: Path) -> None:
    shutil.rmtree(root / FOLDER, ignore_errors=True)


def text_of(number: int) -> str:
    return fleet.EXPERIMENT.replace("NUMBER", str(number))


def varied(root: Path) -> None:
    """Another rank, more replicas, another engine, one removed, one new, one renamed, one gated, one by steps."""
    folder = root / "experiments"
    (folder / "bot-1.yaml").write_text(text_of(1).replace("r: 16", "r: 32"))
    (folder / "bot-2.yaml").write_text(text_of(2).replace("max_replica_count: 1", "max_replica_count: 3"))
    (folder / "bot-3.yaml").write_text(text_of(3).replace("max_model_len: 512", "max_model_len: 1024"))
    (folder / "bot-4.yaml").unlink()
    (folder / "new.yaml").write_text(text_of(SIZE + 1).replace(f"name: bot-{SIZE + 1}", "name: new"))
    (folder / "bot-5.yaml").write_text(text_of(5).replace("name: bot-5", "name: other\nmoved_from: [bot-5]"))
    gated = text_of(6).replace("format: messages", "format: messages, eval_fraction: 0.5")
    (folder / "bot-6.yaml").write_text(gated + 'evaluation: {gate: ["eval_loss <= 1"]}\n')
    steps = "serving:\n  rollout: {steps: [10, 100], hold: 10m}\n"
    (folder / "bot-7.yaml").write_text(text_of(7).replace("serving:\n", steps).replace("r: 16", "r: 8"))


def test_a_plan_is_the_same_with_and_without_memory_and_by_one_process_or_many(root: Path) -> None:
    assert planned(root)[0] == 0
    varied(root)

    with_the_memory_before = planned(root)
    with_memory = planned(root)
    forget(root)
    by_many = planned(root)
    forget(root)
    by_one = planned(root, one_processor=True)

    assert with_the_memory_before == with_memory == by_many == by_one
    assert by_one[0] == 2
