"""The images install what the tests install: each package by version and hash, as a user without rights."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>\S+) --hash=sha256:[0-9a-f]{64}")


def pins(name: str) -> dict[str, str]:
    lines = [line for line in (ROOT / "requirements" / name).read_text().splitlines() if not line.startswith("#")]
    found = [PINNED.fullmatch(line) for line in lines]
    assert lines
    assert all(found)
    return {match["name"]: match["version"] for match in found if match}


def lock() -> dict[str, str]:
    lines = (ROOT / "requirements/lock.txt").read_text().splitlines()
    rows = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in rows}


@pytest.mark.parametrize("name", ["train.txt", "serve.txt"])
def test_what_an_image_installs_is_in_the_lock_with_the_same_version(name: str) -> None:
    assert pins(name).items() <= lock().items(), "run `make pins`"


def test_the_training_image_has_all_that_the_project_and_its_trainer_ask_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["train"])]
    wanted = {canonicalize_name(one.name): one for one in asked if one.name != "torch"}

    has = pins("train.txt")

    assert wanted.keys() <= has.keys(), "run `make pins`"
    assert all(one.specifier.contains(has[name]) for name, one in wanted.items())


@pytest.mark.parametrize("image", ["train", "serve"])
def test_an_image_installs_nothing_without_a_pin_and_runs_without_rights(image: str) -> None:
    text = (ROOT / f"images/{image}/Dockerfile").read_text().replace("\\\n", " ")
    commands = [part for line in text.splitlines() if line.startswith("RUN") for part in line.split("&&")]
    installs = [part for part in commands if "pip install" in part]

    assert installs
    for part in installs:
        assert "--require-hashes" in part or "--no-build-isolation ." in part or "torch.txt" in part
    assert re.search(r"^USER (?!root)\w+$", text, re.MULTILINE)
    assert re.search(r"^FROM \S+:\S*\d", text, re.MULTILINE)
