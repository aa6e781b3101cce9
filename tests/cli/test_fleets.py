"""Two fleets in one Vertex AI project, a fork and a stale checkout: none touches what is another's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.cli.main import run
from tests.cli.commits import commit, git
from tests.cli.conftest import write_experiment
from tests.cli.test_apply import TRAINER
from tests.emulator_fixture import emulator_calls, forget_calls, running_emulator

pytestmark = pytest.mark.slow

Captured = pytest.CaptureFixture[str]
DIGEST = "sha256:" + "a" * 64
PARENT = "v1/projects/acme-ml/locations/europe-west4"
MUTATES = ("Create", "Update", "Delete", "Deploy", "Undeploy", "Mutate", "Upload", "Cancel")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with running_emulator(tmp_path / "cloud", {"train": TRAINER, "serve": "stub"}) as url:
        yield url


def repository(folder: Path, url: str, fleet: str) -> Path:
    """A repository of this fleet on the one project and the one bucket that all share."""
    folder.mkdir()
    (folder / "loraform.yaml").write_text(
        f"apiVersion: loraform/v1\nkind: Project\nfleet: {fleet}\ndefault_target: prod\n"
        f"images: {{train: train@{DIGEST}, serve: serve@{DIGEST}}}\n"
        "targets:\n"
        f"  prod: {{project: acme-ml, region: europe-west4, bucket: acme-rows, api_endpoint: '{url}'}}\n"
    )
    return folder


def live(url: str) -> dict[str, Any]:
    """All endpoints and models with labels, deployments and traffic, and all objects, as the services have them now."""
    endpoints = httpx.get(f"{url}/{PARENT}/endpoints").json().get("endpoints", [])
    models = httpx.get(f"{url}/{PARENT}/models").json().get("models", [])
    objects = httpx.get(f"{url}/storage/v1/b/acme-rows/o").json().get("items", [])
    return {
        **{item["name"]: (item["labels"], item.get("deployedModels"), item.get("trafficSplit")) for item in endpoints},
        **{f"{item['name']}@{item['versionId']}": item["labels"] for item in models},
        **{item["name"]: item["generation"] for item in objects if not item["name"].endswith(("lease.json", ".lock"))},
    }


def of(seen: dict[str, Any], fleet: str) -> dict[str, Any]:
    return {name: what for name, what in seen.items() if f"lf-{fleet}-" in name or f"/{fleet}/" in name}


def written(url: str) -> list[str]:
    calls = emulator_calls(url)
    forget_calls(url)
    return [call["resource"] for call in calls if call["method"].partition(".")[2].startswith(MUTATES)]


def test_two_fleets_with_the_same_names_and_the_same_trainings_do_not_see_each_other(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    red, blue = repository(tmp_path / "red", url, "red"), repository(tmp_path / "blue", url, "blue")
    for root in (red, blue):
        write_experiment(root, "bot")
        write_experiment(root, "faq", adapter={"r": 8})
        commit(root, "one")
        monkeypatch.chdir(root)
        assert run(["apply", "--wait"]) == 0
    before = of(live(url), "blue")

    monkeypatch.chdir(red)
    (red / "experiments/faq.yaml").unlink()
    write_experiment(red, "bot", adapter={"r": 16})
    commit(red, "Another rank, and no faq")
    codes = [run(["apply", "--wait"]), run(["gc", "--yes"]), run(["prune", "--yes"]), run(["destroy", "bot", "--yes"])]
    after = live(url)
    monkeypatch.chdir(blue)
    capsys.readouterr()
    calm = [run(["plan"]), run(["drift"]), run(["orphans"])]

    assert codes == [0, 0, 0, 0]
    assert len(before) > 8
    assert of(after, "blue") == before
    assert not any("/endpoints/lf-red-" in name for name in after)
    assert calm == [0, 0, 0]
    assert "red" not in capsys.readouterr().out


def test_a_fleet_does_not_take_what_another_ones_label_owns_by_any_word_of_a_manifest(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    red, blue = repository(tmp_path / "red", url, "red"), repository(tmp_path / "blue", url, "blue")
    write_experiment(red, "bot")
    commit(red, "one")
    monkeypatch.chdir(red)
    assert run(["apply", "--wait"]) == 0
    before = of(live(url), "red")
    adopting = write_experiment(blue, "taker")
    adopting.write_text(adopting.read_text() + "adopt: {endpoint: lf-red-bot, model: lf-red-bot}\n")
    renamed = write_experiment(blue, "heir", adapter={"r": 8})
    renamed.write_text(renamed.read_text() + "moved_from: bot\n")
    commit(blue, "one")
    monkeypatch.chdir(blue)
    capsys.readouterr()

    applied, said = run(["apply", "--wait"]), capsys.readouterr().out
    verbs = [run([verb, "bot"]) for verb in ("cancel", "suspend", "resume")] + [run(["destroy", "bot", "--yes"])]
    imported = run(["import", "live", "endpoints/lf-red-bot"])

    assert applied == 3
    assert "the endpoint to adopt belongs to the fleet red" in said
    assert "the model to adopt belongs to the fleet red" in said
    assert verbs == [1, 1, 1, 1]
    assert imported == 1
    assert of(live(url), "red") == before


def test_a_fork_and_a_stale_checkout_change_nothing_whatever_they_are_told(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    origin = repository(tmp_path / "origin", url, "red")
    write_experiment(origin, "bot")
    write_experiment(origin, "faq", adapter={"r": 8})
    commit(origin, "one")
    git(tmp_path, "clone", "--quiet", str(origin), "stale")
    git(tmp_path, "clone", "--quiet", str(origin), "fork")
    write_experiment(origin, "late", adapter={"r": 2})
    commit(origin, "two")
    monkeypatch.chdir(origin)
    assert run(["apply", "--wait"]) == 0
    fork, stale = tmp_path / "fork", tmp_path / "stale"
    (fork / "experiments/faq.yaml").unlink()
    write_experiment(fork, "bot", adapter={"r": 64})
    commit(fork, "The fork goes its own way")
    before = live(url)
    written(url)
    capsys.readouterr()

    codes = {}
    for root in (fork, stale):
        monkeypatch.chdir(root)
        codes[root.name] = [run(["apply"]), run(["gc", "--yes"]), run(["prune", "--yes"])]
    said = capsys.readouterr().err

    assert codes == {"fork": [3, 3, 3], "stale": [3, 3, 3]}
    assert said.count("accepted commit") >= 4
    assert written(url) == []
    assert live(url) == before
