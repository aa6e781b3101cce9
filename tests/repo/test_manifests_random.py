"""Random edits of a valid manifest: every diagnostic stands inside the file, and nothing raises."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.repo.manifests import load
from tests.factories_manifest import document
from tests.repo.repository import repository

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.just([]),
    st.just({}),
    st.just([{"a": 1}]),
)
KEYS = st.sampled_from(
    [
        "r",
        "name",
        "kind",
        "base",
        "train",
        "max_seq_length",
        "machine",
        "endpoint",
        "gate",
        "env",
        "HF_TOKEN",
        "x",
        "output_dir",
    ]
)


def paths(value: Any, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [prefix] if prefix else []
    for key, item in value.items() if isinstance(value, dict) else ():
        found += paths(item, (*prefix, key))
    return found


PATHS = paths(document())


@st.composite
def edited(draw: st.DrawFn) -> str:
    content = document()
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(PATHS))
        parent: Any = content
        for step in path[:-1]:
            parent = parent.get(step) if isinstance(parent, dict) else None
        if not isinstance(parent, dict):
            continue
        match draw(st.sampled_from(["set", "delete", "add"])):
            case "set":
                parent[path[-1]] = draw(VALUES)
            case "delete":
                parent.pop(path[-1], None)
            case _:
                parent[draw(KEYS)] = draw(VALUES)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


@given(edited())
def test_a_random_edit_of_a_valid_manifest_is_reported_inside_the_file(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = repository(Path(folder) / "r", case=text)

        found = load(root).diagnostics

    lines = text.splitlines()
    for item in found:
        assert item.source.path == "experiments/case.yaml"
        assert 1 <= item.source.line <= len(lines)
        assert 1 <= item.source.column <= len(lines[item.source.line - 1]) + 1


@given(st.data())
def test_random_bytes_in_a_valid_manifest_never_raise(data: st.DataObject) -> None:
    raw = bytearray(yaml.safe_dump(document(), sort_keys=False).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        root = repository(Path(folder) / "r")
        (root / "experiments/case.yaml").write_bytes(bytes(raw))

        found = load(root).diagnostics

    lines = bytes(raw).decode("utf-8", "replace").splitlines() or [""]
    assert all(0 <= item.source.line <= len(lines) + 1 for item in found)
