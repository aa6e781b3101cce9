from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from images.train.launcher import Place, accelerators, launch, place_of

CLUSTER = {"workerpool0": ["chief:2222"], "workerpool1": ["one:2222", "two:2222"]}


def spec(pool: str, index: int) -> dict[str, str]:
    return {"CLUSTER_SPEC": json.dumps({"cluster": CLUSTER, "task": {"type": pool, "index": index}})}


@pytest.mark.parametrize(
    ("pool", "index", "node"), [("workerpool0", 0, 0), ("workerpool1", 0, 1), ("workerpool1", 1, 2)]
)
def test_every_machine_finds_its_place_and_the_first_ones_address(pool: str, index: int, node: int) -> None:
    assert place_of(spec(pool, index), 0) == Place(3, node, 1, "chief", 2222)


def test_ranks_count_through_the_accelerators_of_all_machines() -> None:
    place = place_of(spec("workerpool1", 0), 4)

    told = place.variables(2)

    assert (told["RANK"], told["LOCAL_RANK"], told["WORLD_SIZE"], told["MASTER_ADDR"]) == ("6", "2", "12", "chief")


def test_one_machine_without_accelerators_is_one_process() -> None:
    assert place_of({}, 0).size == 1


@pytest.mark.parametrize("text", ["{", "{}", '{"cluster": {}, "task": {"type": "a", "index": 0}}'])
def test_a_cluster_spec_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="CLUSTER_SPEC cannot be read"):
        place_of({"CLUSTER_SPEC": text}, 0)


def test_accelerators_are_counted_by_their_device_files(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()

    assert accelerators({}, tmp_path) == 2
    assert accelerators({"CUDA_VISIBLE_DEVICES": "1"}, tmp_path) == 1
    assert accelerators({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == 0


def test_the_code_of_the_first_failure_is_the_launchers(tmp_path: Path) -> None:
    path = {"PATH": str(Path(sys.executable).parent), "PYTHONPATH": str(Path(__file__).parents[3])}

    assert launch(Place(local=2), ["--spec", "{}"], path) == 2
    assert launch(Place(local=2), ["--help"], path) == 0
