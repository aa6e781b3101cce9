"""Every kind of mistake with the message that a person sees. `LORAFORM_GOLDEN=write` writes the messages anew."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from reconciler.repo.manifests import load
from tests.repo.repository import GOOD, repository

CASES = sorted((Path(__file__).parents[1] / "data" / "manifests").glob("*.yaml"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_mistake_is_reported_at_its_place_with_the_way_out(case: Path, tmp_path: Path) -> None:
    root = repository(tmp_path / "repository")
    if case.stem.startswith("project-"):
        (root / "experiments/bot.yaml").write_text(GOOD.format(name="bot"))
        shutil.copy(case, root / "loraform.yaml")
    else:
        shutil.copy(case, root / f"experiments/{case.stem}.yaml")

    shown = "".join(f"{diagnostic}\n" for diagnostic in load(root).diagnostics).replace(str(tmp_path), "TMP")

    expected = case.with_suffix(".txt")
    if os.environ.get("LORAFORM_GOLDEN") == "write":
        expected.write_text(shown, encoding="utf-8")
    assert shown == expected.read_text(encoding="utf-8")


def test_there_is_no_expectation_without_its_case() -> None:
    folder = CASES[0].parent

    orphans = [path.name for path in folder.glob("*.txt") if not path.with_suffix(".yaml").exists()]

    assert orphans == []
