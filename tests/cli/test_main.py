from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli.main import SECTIONS

LORAFORM = str(Path(sys.executable).with_name("loraform"))
VERBS = [verb for verbs in SECTIONS.values() for verb in verbs]


def loraform(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LORAFORM, *arguments], capture_output=True, text=True, **settings)


def test_help_lists_every_verb() -> None:
    answer = loraform("--help")

    assert answer.returncode == 0
    assert all(f"  {verb} " in answer.stdout for verb in VERBS)


def test_help_imports_neither_verbs_nor_clients_nor_schemas() -> None:
    script = (
        "import sys; from reconciler.cli.main import run; run(['--help']);"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in"
        " ('pydantic', 'schemas', 'yaml', 'rich', 'deepdiff', 'requests') or name.startswith('google.cloud.')"
        " or name.startswith('reconciler.') and name not in ('reconciler.cli', 'reconciler.cli.main')))"
    )

    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert answer.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    answer = loraform(verb, "--help")

    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith(f"Usage: loraform {verb}")


def test_an_unknown_verb_names_the_nearest_one_and_exits_with_1() -> None:
    answer = loraform("aply")

    assert answer.returncode == 1
    assert "Did you mean `loraform apply`?" in answer.stderr


def test_a_usage_error_is_not_mistaken_for_changes() -> None:
    answer = loraform("plan", "--no-such-option")

    assert answer.returncode == 1
    assert "--no-such-option" in answer.stderr


def test_outside_a_repository_the_error_names_the_way_out_and_shows_no_traceback(tmp_path: Path) -> None:
    answer = loraform("plan", cwd=tmp_path)

    assert answer.returncode == 1
    assert "loraform init" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_debug_shows_the_traceback_wherever_it_stands_on_the_line(tmp_path: Path) -> None:
    answer = loraform("plan", "--debug", cwd=tmp_path)

    assert answer.returncode == 1
    assert "Traceback" in answer.stderr


def test_debug_can_be_asked_for_in_the_environment(tmp_path: Path) -> None:
    answer = loraform("plan", cwd=tmp_path, env={**os.environ, "LORAFORM_DEBUG": "1"})

    assert "Traceback" in answer.stderr


def test_the_version_is_told() -> None:
    answer = loraform("--version")

    assert answer.returncode == 0
    assert answer.stdout.startswith("loraform 0.")
