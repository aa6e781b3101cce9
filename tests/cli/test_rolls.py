"""Another serving image in `loraform.yaml`: held until somebody says how much it may roll, or rolled by name.

The way back to versions that are registered is not held: they were allowed once.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.cli.main import run
from tests.cli.conftest import write_experiment
from tests.cli.test_apply import PROGRAMS
from tests.emulator_fixture import running_emulator

pytestmark = pytest.mark.slow

Captured = pytest.CaptureFixture[str]


def test_another_image_is_held_then_tried_on_one_then_allowed(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(repository)
    project = repository / "loraform.yaml"
    with running_emulator(repository / ".loraform/vertex", {**PROGRAMS, "loraform/next": "stub"}):
        for number in range(5):
            write_experiment(repository, f"bot-{number}", adapter={"r": 4 + number})
        assert run(["apply", "--wait"]) == 0
        capsys.readouterr()
        project.write_text(project.read_text() + "images: {serve: loraform/next}\n")

        held, plan = run(["plan"]), capsys.readouterr().out
        refused, _ = run(["apply"]), capsys.readouterr()
        tried, one = run(["apply", "--wait", "bot-3"]), capsys.readouterr().out
        too_few = run(["plan", "--allow-rolls", "3"]), capsys.readouterr().out
        rolled, rest = run(["apply", "--wait", "--allow-rolls", "4"]), capsys.readouterr().out
        project.write_text(project.read_text().replace("loraform/next", "loraform/serve"))
        back = run(["plan"])
        project.write_text(project.read_text().replace("loraform/serve", "loraform/third"))
        third = run(["plan"])
        project.write_text(project.read_text() + "policy: {max_roll_percent: 100}\n")
        open_policy = run(["plan"])

    assert (held, refused) == (3, 3)
    assert plan.count("another image for 5 of 5 deployments: --allow-rolls 5") == 5
    assert "to follow" not in plan
    assert tried == 0, one
    assert not re.search(r"bot-[0124]", one)
    assert (too_few[0], "another image for 4 of 5 deployments: --allow-rolls 4" in too_few[1]) == (3, True)
    assert rolled == 0, rest
    assert (back, third, open_policy) == (2, 3, 2)
