"""Manifests that are remembered, or read by other processes: always what the ordinary reading says, or nothing."""

from __future__ import annotations

import os
import pickle
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.errors import Diagnostic
from reconciler.core.resources import Resource
from reconciler.core.target import Target
from reconciler.repo import sheet_files
from reconciler.repo.desired import desired
from reconciler.repo.files import Files
from reconciler.repo.manifest_files import manifest_files
from reconciler.repo.manifests import Known, head_of, loaded
from reconciler.repo.many import LARGEST, WORTH_A_PROCESS, Kept, sheets_of
from reconciler.repo.sheet_files import SHARDS, packed, read_shard, write_shard
from reconciler.repo.sheets import Reader
from tests.backends.subjects import LOCAL
from tests.repo.repository import GOOD, repository

SERVING = "serving: {engine: {max_model_len: 512}}\n"
Read = tuple[tuple[Resource, ...], list[str], tuple[Diagnostic, ...]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Experiments that have a sheet: plain, serving, with a warning. And what has none: errors, two in one file."""
    return repository(
        tmp_path / "here",
        ant=GOOD.format(name="ant"),
        bee=GOOD.format(name="bee") + SERVING,
        cow=GOOD.format(name="cow").replace("eval: data/eval.jsonl", "eval: data/train.jsonl"),
        dog=GOOD.format(name="dog") + "serving: {endpoint: host}\n",
        two=GOOD.format(name="elk") + "---\n" + GOOD.format(name="fox"),
        host="apiVersion: loraform/v1\nkind: Endpoint\nname: host\nmodel: {base: ./models/tiny}\n",
    )


def reader_of(root: Path, target: Target = LOCAL) -> Reader:
    return Reader(head_of(root), target, Files(root))


def kept_of(root: Path, target: Target = LOCAL) -> dict[str, Kept]:
    paths, _ = manifest_files(root, head_of(root).project.experiments)
    return sheets_of(reader_of(root, target), None, paths, root / "memory", many=1)


def read(root: Path, kept: dict[str, Kept]) -> Read:
    """Resources, names and diagnostics of the repository, with what is kept taken as known."""
    reader = reader_of(root)
    paths, ignored = manifest_files(root, reader.head.project.experiments)
    known = {path: Known(one.placed, one.sheet.found) for path, one in kept.items()}
    found = loaded(reader.head, paths, ignored, known)
    others = [(item.value, item.locate) for item in found.experiments if item.source.path not in kept]
    resources, problems = desired(others, found.project, LOCAL, reader.files)
    everything = [*resources, *(resource for one in kept.values() for resource in one.sheet.resources)]
    said = [*found.diagnostics, *problems, *(problem for one in kept.values() for problem in one.sheet.problems)]
    everything.sort(key=lambda resource: resource.address.experiment)
    names = [item.name for item in found.experiments]
    return tuple(everything), names, tuple(sorted(said, key=lambda item: (item.source, item.rule)))


def shards(root: Path) -> list[Path]:
    return sorted((root / "memory").glob("*.bin"))


def believed(root: Path) -> int:
    """How many sheets the memory of the repository gives to a new process."""
    reader = reader_of(root)
    raw = (root / "loraform.yaml").read_bytes()
    context = sheet_files.context_of(root, raw, reader.head.chosen, LOCAL)
    return sum(len(read_shard(root / "memory", number, context, nobody)) for number in range(SHARDS))


def nobody(path: str) -> tuple[Resource, ...]:
    raise AssertionError(f"{path} was read again")


def test_what_is_remembered_is_what_the_ordinary_reading_says(root: Path) -> None:
    ordinary = read(root, {})

    first, second = kept_of(root), kept_of(root)

    assert sorted(first) == [f"experiments/{name}.yaml" for name in ("ant", "bee", "cow")]
    assert read(root, first) == read(root, second) == ordinary
    assert believed(root) == len(first)


def test_gates_and_roll_outs_are_remembered_as_well(root: Path) -> None:
    gated = 'evaluation: {gate: ["eval_loss <= 1.2"]}\nserving: {rollout: {steps: [10, 100], hold: 10m}}\n'
    (root / "experiments/gnu.yaml").write_text(GOOD.format(name="gnu") + gated)
    ordinary = read(root, {})

    first, second = kept_of(root), kept_of(root)

    assert "experiments/gnu.yaml" in second
    assert read(root, first) == read(root, second) == ordinary


def test_bodies_and_declared_fields_are_read_again_only_when_somebody_looks(root: Path) -> None:
    kept_of(root)
    kept = kept_of(root)["experiments/bee.yaml"]
    model = next(resource for resource in kept.sheet.resources if resource.kind == "model")
    whole = next(item for item in read(root, {})[0] if item.address == model.address)

    assert dict(model.fields) == whole.fields
    assert model.body["container_spec"] == whole.body["container_spec"]
    assert kept.placed.value.serving is not None


def test_an_edited_manifest_is_read_anew(root: Path) -> None:
    kept_of(root)
    file = root / "experiments/ant.yaml"
    file.write_text(file.read_text() + "adapter: {r: 64}\n")

    assert read(root, kept_of(root)) == read(root, {})


def test_rows_that_changed_change_what_is_remembered(root: Path) -> None:
    before = read(root, kept_of(root))[0]
    (root / "data/train.jsonl").write_text('{"messages": [1]}\n')

    after = read(root, kept_of(root))

    assert after == read(root, {})
    assert {item.identity for item in after[0]}.isdisjoint(item.identity for item in before if item.once)


def test_rows_that_vanished_are_an_error_again(root: Path) -> None:
    kept_of(root)
    (root / "data/train.jsonl").unlink()

    assert kept_of(root) == {}


def test_a_manifest_that_is_wrong_or_gone_is_not_remembered(root: Path) -> None:
    kept_of(root)
    (root / "experiments/ant.yaml").write_text("apiVersion: loraform/v1\nkind: Experiment\nname: Ant\n")
    (root / "experiments/bee.yaml").unlink()

    kept = kept_of(root)

    assert sorted(kept) == ["experiments/cow.yaml"]
    assert read(root, kept) == read(root, {})


@pytest.mark.parametrize("edit", ["fleet: other\n", "fleet: acme\ndefaults: {adapter: {r: 4}}\n"])
def test_another_project_file_forgets_everything(root: Path, edit: str) -> None:
    kept_of(root)
    (root / "loraform.yaml").write_text(edit)

    assert believed(root) == 0
    assert read(root, kept_of(root)) == read(root, {})


def test_another_target_forgets_everything_but_another_address_of_it_does_not(root: Path) -> None:
    raw, there = (root / "loraform.yaml").read_bytes(), replace(LOCAL, api_endpoint="http://127.0.0.1:1")

    here = sheet_files.context_of(root, raw, "local", LOCAL)

    assert sheet_files.context_of(root, raw, "local", there) == here
    assert sheet_files.context_of(root, raw, "local", replace(LOCAL, images={"train": "t2"})) != here
    assert sheet_files.context_of(root.parent, raw, "local", LOCAL) != here


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_memory_is_no_memory(root: Path, damage: str) -> None:
    kept_of(root)
    for file in shards(root):
        status, raw = file.stat(), file.read_bytes()
        changed = {
            "cut": raw[:-9],
            "flipped": raw[:-40] + bytes([raw[-40] ^ 1]) + raw[-39:],
            "empty": b"",
            "text": b"x",
        }
        file.write_bytes(changed[damage])
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert believed(root) == 0
    assert read(root, kept_of(root)) == read(root, {})


def test_a_memory_that_came_with_the_repository_is_not_believed(root: Path) -> None:
    kept_of(root)
    assert believed(root) > 0
    for file in shards(root):
        shutil.copyfile(file, file.with_suffix(".copy"))
        file.with_suffix(".copy").replace(file)

    assert believed(root) == 0


def test_reading_a_memory_runs_no_code(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    for payload in (pickle.dumps({"a": Bomb()}), pickle.dumps({"a": os.system}), pickle.dumps({"a": 1})):
        write_shard(tmp_path, 0, b"c" * 32, payload)

        assert read_shard(tmp_path, 0, b"c" * 32, nobody) == {}
    assert not (tmp_path / "exploded").exists()


def test_git_ignores_the_memory(root: Path) -> None:
    kept_of(root)

    assert (root / "memory/.gitignore").read_text() == "*\n"


def test_a_memory_that_cannot_be_written_costs_nothing(root: Path) -> None:
    (root / "memory").write_text("in the way")

    assert read(root, kept_of(root)) == read(root, {})


def test_processes_side_by_side_never_see_half_a_memory(root: Path) -> None:
    sheet = kept_of(root)["experiments/ant.yaml"].sheet
    payload = packed({f"{number}.yaml": sheet for number in range(50)})
    seen: set[int] = set()

    def write() -> None:
        for _ in range(50):
            write_shard(root / "memory", 0, b"c" * 32, payload)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        seen.add(len(read_shard(root / "memory", 0, b"c" * 32, nobody)))
    for writer in writers:
        writer.join()

    assert seen <= {0, 50}
    assert len(read_shard(root / "memory", 0, b"c" * 32, nobody)) == 50
    assert not list((root / "memory").glob("*.part"))


def test_many_new_manifests_are_read_by_several_processes_with_the_same_outcome(tmp_path: Path) -> None:
    root = repository(tmp_path / "here")
    with (root / "models/tiny/model.safetensors").open("wb") as weights:
        weights.truncate(LARGEST + 1)
    for number in range(WORTH_A_PROCESS):
        (root / f"experiments/bot-{number}.yaml").write_text(GOOD.format(name=f"bot-{number}"))
    (root / "experiments/wrong.yaml").write_text(GOOD.format(name="Wrong"))
    begun: list[bool] = []
    paths, _ = manifest_files(root, head_of(root).project.experiments)

    kept = sheets_of(reader_of(root), None, paths, root / "memory", lambda: begun.append(True))

    assert len(kept) == WORTH_A_PROCESS == believed(root)
    assert begun == [True]
    assert read(root, kept) == read(root, {})


def test_few_manifests_are_not_remembered_at_all(root: Path) -> None:
    paths, _ = manifest_files(root, head_of(root).project.experiments)

    assert sheets_of(reader_of(root), None, paths, root / "memory") == {}
    assert not (root / "memory").exists()
