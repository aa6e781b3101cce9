"""A sweep from the manifest to the run record, with the real command, trainer and embedded Vertex AI."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from images.train.failures import DataInvalid, SpecInvalid
from images.train.masks import Encoded
from images.train.trial import chosen, held_apart, of_trial, report
from schemas.training_spec import TrainingSpec

LORAFORM = str(Path(sys.executable).with_name("loraform"))
MANIFEST = """\
apiVersion: loraform/v1
kind: Experiment
name: shelves
model: {base: ./base}
data: {train: train.jsonl, eval: eval.jsonl}
adapter: {r: 4, lora_alpha: 8}
training: {per_device_train_batch_size: 4, num_train_epochs: 2, max_length: 64}
sweep:
  parameters:
    training.learning_rate: {values: [1.0e-6, 0.02]}
  trials: 2
  parallel: 1
  algorithm: grid
  fraction: 0.3
"""
ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"Where is {n}?"},
            {"role": "assistant", "content": f"On shelf {n % 5}."},
        ]
    }
    for n in range(40)
]


@pytest.fixture
def root(tmp_path: Path, base: Path) -> Iterator[Path]:
    folder = tmp_path / "repository"
    (folder / "experiments").mkdir(parents=True)
    shutil.copytree(base, folder / "base")
    (folder / "loraform.yaml").write_text("fleet: acme\n")
    (folder / "experiments/shelves.yaml").write_text(MANIFEST)
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[:32]))
    (folder / "eval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[32:]))
    yield folder
    loraform(folder, "down")


def loraform(folder: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run([LORAFORM, *words], cwd=folder, capture_output=True, text=True, timeout=840)
    assert done.returncode == code, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.heavy
def test_the_best_of_two_trials_is_what_is_trained(root: Path) -> None:
    loraform(root, "up", "--detach")
    planned = loraform(root, "plan", code=2)

    loraform(root, "apply", "--wait")

    again = loraform(root, "plan", code=0)
    (record,) = records_of(root)
    assert "2 trials" in planned
    assert "in sync" in again
    assert record["chosen"] == {"training.learning_rate": 0.02}
    assert record["trial"] in record["artifact_uri"].split("/")
    assert record["counts"]["train_rows"] < 32
    assert record["counts"]["eval_rows"] == 8


def records_of(root: Path) -> list[dict[str, Any]]:
    """The run records in the bucket of the embedded Cloud Storage."""
    url = json.loads((root / ".loraform/vertex/server.json").read_text())["url"]
    listed = read(f"{url}/storage/v1/b/loraform-local/o?prefix=loraform/acme/runs/")["items"]
    names = [urllib.parse.quote(item["name"], safe="") for item in listed if item["name"].endswith(".json")]
    return [read(f"{url}/storage/v1/b/loraform-local/o/{name}?alt=media") for name in names]


def read(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def spec(**more: Any) -> TrainingSpec:
    return TrainingSpec.model_validate(
        {
            "fleet": "acme",
            "experiment": "shelves",
            "identity": "ab" * 32,
            "model": {"base": "b"},
            "data": {"train": "t"},
            "training": {"learning_rate": 1e-4},
            "output": {"record": "gs://b/runs/x.json", "lock": "gs://b/runs/x.lock", "resume": "gs://b/checkpoints/x"},
            "sweep": {
                "metric": "eval_loss",
                "records": "gs://b/trials/x",
                "keys": ["adapter.r", "training.learning_rate"],
                "fraction": 0.3,
            },
            **more,
        }
    )


def test_a_trial_has_its_own_values_record_lock_and_checkpoints() -> None:
    words = ["--training-learning_rate=0.5", "--adapter-r=8.0"]

    trial = of_trial(spec(), words, {"CLOUD_ML_TRIAL_ID": "3"})

    assert chosen(trial) == {"adapter.r": 8, "training.learning_rate": 0.5}
    assert trial.output.record == "gs://b/trials/x/3.json"
    assert trial.output.lock == "gs://b/trials/x/3.lock"
    assert trial.output.resume == "gs://b/checkpoints/x/3"
    assert trial.identity != spec().identity


def test_another_trial_or_other_values_are_another_identity() -> None:
    found = {
        of_trial(spec(), words, {"CLOUD_ML_TRIAL_ID": number}).identity
        for words in ([], ["--adapter-r=4"])
        for number in ("1", "2")
    }

    assert len(found) == 4


@pytest.mark.parametrize("word", ["--learning_rate=1", "--data-train=x", "--training-learning_rate"])
def test_words_that_name_no_key_are_refused(word: str) -> None:
    with pytest.raises(SpecInvalid, match="names no key of a sweep"):
        of_trial(spec(), [word], {})


def test_outside_a_sweep_no_further_words_are_known() -> None:
    with pytest.raises(SpecInvalid, match="--else is no argument"):
        of_trial(spec(sweep=None), ["--else"], {})


def test_every_trial_holds_the_same_rows_apart() -> None:
    rows = [Encoded((n, n + 1), (-100, n + 1), 1, "x") for n in range(50)]

    learnt, apart = held_apart(rows, 0.2, seed=1)

    assert held_apart(rows, 0.2, seed=1) == (learnt, apart)
    assert held_apart(rows, 0.2, seed=2) != (learnt, apart)
    assert sorted(row.input_ids for row in (*learnt, *apart)) == [row.input_ids for row in rows]


def test_a_fraction_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(DataInvalid, match="leaves 1 rows to learn from, 0 to compare by"):
        held_apart([Encoded((1, 2), (-100, 2), 1, "x")], 1e-9, seed=0)


def test_a_report_is_what_cloudml_hypertune_writes(tmp_path: Path) -> None:
    place = tmp_path / "deep/output.metrics"

    report("eval_loss", 0.25, 40, {"CLOUD_ML_HP_METRIC_FILE": str(place), "CLOUD_ML_TRIAL_ID": "2"})

    line = json.loads(place.read_text())
    assert (line["eval_loss"], line["global_step"], line["trial"]) == ("0.25", "40", "2")
