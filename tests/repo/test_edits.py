"""Setting one field in a manifest's text: the rest stays as it was, or the edit is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.resources import Json
from reconciler.repo import yaml_text
from reconciler.repo.edits import CannotEdit, patch, with_value

MANIFEST = """\
# the head stays
name: bot   # so does this
training:
  per_device_train_batch_size: 8   # rows
  learning_rate: 2e-4

  # a comment between
run: {attempt: 1, scheduling: {strategy: [spot]}}
serving:
  engine: {}
  steps:
    - 10   # ten
    - 100
  empty:
"""


def edited(text: str, path: str, value: Json, index: int = 0) -> str:
    return with_value(text.encode(), index, tuple(path.split(".")), value).decode()


@pytest.mark.parametrize(
    ("path", "value", "before", "after"),
    [
        ("training.per_device_train_batch_size", 4, "size: 8   # rows", "size: 4   # rows"),
        ("training.learning_rate", 1e-4, "2e-4", "0.0001"),
        ("training.gradient_accumulation_steps", 2, "2e-4\n", "2e-4\n  gradient_accumulation_steps: 2\n"),
        ("run.attempt", 2, "attempt: 1", "attempt: 2"),
        ("run.machine.boot_disk_size_gb", 200, "[spot]}}", "[spot]}, machine: {boot_disk_size_gb: 200}}"),
        ("run.scheduling.strategy", ["spot", "standard"], "[spot]", "[spot, standard]"),
        ("serving.engine.max_model_len", 512, "{}", "{max_model_len: 512}"),
        ("serving.steps", [100], "steps:\n    - 10   # ten\n    - 100\n", "steps: [100]\n"),
        ("serving.empty", True, "  empty:\n", "  empty: true\n"),
        ("evaluation.gate.expr", "loss <= 1", "  empty:\n", '  empty:\nevaluation:\n  gate:\n    expr: "loss <= 1"\n'),
        ("owner", "1.5", "  empty:\n", '  empty:\nowner: "1.5"\n'),
    ],
)  # fmt: skip
def test_one_field_changes_and_all_else_stays(path: str, value: Json, before: str, after: str) -> None:
    assert edited(MANIFEST, path, value) == MANIFEST.replace(before, after)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {b: 1}\nc: *x\n",
        "a: {b: &x 1}\nc: *x\n",
        "c: {b: &x 1}\na: {b: *x}\n",
        "a: text\n",
        "a:\n  b: |\n    several\n    lines\n",
        "a: [b]\n",
        "a: {b: 1, b: 2}\n",
        "a: {\n",
        "",
    ],
)
def test_what_cannot_be_set_without_touching_something_else_is_refused(text: str) -> None:
    with pytest.raises(CannotEdit):
        edited(text, "a.b", 2)


def test_line_ends_and_a_missing_last_one_are_kept() -> None:
    assert edited("a:\r\n  b: 1\r\n", "a.c", 2) == "a:\r\n  b: 1\r\n  c: 2\r\n"
    assert edited("a:\n  b: 1", "a.b", 2) == "a:\n  b: 2"
    assert edited("a:\n  b: 1", "a.c", 2) == "a:\n  b: 1\n  c: 2\n"


def test_only_the_asked_document_of_a_file_changes() -> None:
    assert edited("a: 1\n---\na: 1\n---\na: 1\n", "a", 2, index=1) == "a: 1\n---\na: 2\n---\na: 1\n"


def test_letters_of_all_kinds_do_not_move_the_place() -> None:
    assert edited("# ünï 𝔘\nname: é\na: {b: 1}\n", "a.b", 2) == "# ünï 𝔘\nname: é\na: {b: 2}\n"


@given(
    st.sampled_from(["run.attempt", "training.x.y", "new", "serving.engine.k", "training.learning_rate"]),
    st.one_of(st.integers(-9, 10**9), st.booleans(), st.floats(1e-9, 1e9), st.text(max_size=8), st.just(["a", "1"])),
)
def test_whatever_is_set_reads_back_as_it_was_given(path: str, value: Json) -> None:
    try:
        text = edited(MANIFEST, path, value)
    except CannotEdit:
        return

    (document,), problems = yaml_text.read(text.encode())
    found: object = document.value
    for step in path.split("."):
        assert isinstance(found, dict)
        found = found[step]
    assert not problems
    assert found == (pytest.approx(value) if isinstance(value, float) else value)


@pytest.mark.parametrize("text", [MANIFEST, MANIFEST.rstrip("\n"), MANIFEST.replace("\n", "\r\n"), "name: bot"])
@pytest.mark.parametrize("name", ["a.yaml", "experiments/mein bot.yaml", "experiments/bötchen.yaml"])
def test_git_applies_the_patch(tmp_path: Path, text: str, name: str) -> None:
    place = tmp_path / name
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(text.encode())
    after = with_value(text.encode(), 0, ("run", "attempt"), 2)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)

    done = subprocess.run(
        ["git", "apply"], input=patch(name, text.encode(), after), cwd=tmp_path, capture_output=True, encoding="utf-8"
    )

    assert done.returncode == 0, done.stderr
    assert place.read_bytes() == after
