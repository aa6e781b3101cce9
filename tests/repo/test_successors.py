"""Experiments that go on from the adapter of another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.reading import read_repository
from reconciler.core.errors import Severity
from reconciler.core.plan import make_plan
from reconciler.core.resources import Address, Resource, Role, Snapshot
from tests.repo.repository import GOOD, repository

FIRST = GOOD.format(name="first")
SECOND = GOOD.format(name="second").replace("base: ./models/tiny", "base: ./models/tiny, from: first")


def read(root: Path) -> tuple[dict[Address, Resource], list[str]]:
    found = read_repository(root, None, must_run=False, remember=False)
    wrong = [f"{one.source.line}: {one.message}" for one in found.diagnostics if one.severity is Severity.ERROR]
    return {resource.address: resource for resource in found.desired}, wrong


def test_a_successor_waits_for_the_training_that_it_goes_on_from(tmp_path: Path) -> None:
    resources, wrong = read(repository(tmp_path / "r", first=FIRST, second=SECOND))

    first, second = (resources[Address(name, Role.TRAINING)] for name in ("first", "second"))
    planned = make_plan(resources.values(), Snapshot(), now=0.0, target="local")
    alone = make_plan(resources.values(), Snapshot(), now=0.0, target="local", only={"second"})
    now = {change.address: change for change in planned.changes}
    assert wrong == []
    assert second.depends_on == (first.address,)
    assert (now[first.address].action.value, now[second.address].action.value) == ("create", "wait")
    assert now[second.address].waits_on == (first.address,)
    assert [str(change.action) for change in alone.changes if change.address == second.address] == ["wait"]
    assert second.fields["model.from"].value == f"first@{first.identity[:6]}"
    assert second.body["job_spec"]["worker_pool_specs"][0]["container_spec"]["args"]["start_from"].endswith(
        f"/runs/{first.identity}.json"
    )


def test_another_training_of_the_first_is_another_training_of_the_second(tmp_path: Path) -> None:
    before, _ = read(repository(tmp_path / "a", first=FIRST, second=SECOND))
    after, _ = read(repository(tmp_path / "b", first=FIRST + "training: {seed: 7}\n", second=SECOND))

    changed = [name for name in ("first", "second") if _training(before, name) != _training(after, name)]

    assert changed == ["first", "second"]


def test_another_name_of_the_first_trains_nothing_anew(tmp_path: Path) -> None:
    before, _ = read(repository(tmp_path / "a", first=FIRST, second=SECOND))
    named = {"earlier": GOOD.format(name="earlier"), "second": SECOND.replace("from: first", "from: earlier")}
    after, _ = read(repository(tmp_path / "b", **named))

    assert _training(before, "second") == _training(after, "second")


def test_a_chain_is_followed_whatever_its_names_order(tmp_path: Path) -> None:
    third = SECOND.replace("name: second", "name: a-third").replace("from: first", "from: second")

    resources, wrong = read(repository(tmp_path / "r", first=FIRST, second=SECOND, third=third))

    assert wrong == []
    assert resources[Address("a-third", Role.TRAINING)].depends_on == (Address("second", Role.TRAINING),)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (FIRST, SECOND.replace("from: first", "from: frist"), "there is no experiment `frist` to go on from"),
        (FIRST.replace("tiny}", "tiny, from: second}"), SECOND, "no training can be the first of these"),
        (FIRST, SECOND.replace("from: first", "from: second"), "no training can be the first of these"),
        (FIRST + "adapter: {r: 4}\n", SECOND, "the adapter of `first` has `r: 4`, and this one"),
        (FIRST + "adapter: {method: full}\n", SECOND, "`first` is fine-tuned in full"),
        (FIRST.replace("./models/tiny", "gs://b/m/x"), SECOND, "`first` tunes `model.base: gs://b/m/x`"),
        (FIRST.replace("data/train.jsonl", "data/none.jsonl"), SECOND, "no training of `first` to go on from"),
    ],
)
def test_what_cannot_be_gone_on_from_is_told_at_its_place(tmp_path: Path, first: str, second: str, said: str) -> None:
    _, wrong = read(repository(tmp_path / "r", first=first, second=second))

    assert any(line.startswith("4: ") and said in line for line in wrong), wrong


def _training(resources: dict[Address, Resource], name: str) -> str:
    return resources[Address(name, Role.TRAINING)].identity
