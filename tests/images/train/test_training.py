"""Real trainings of a tiny random model, from bucket to bucket."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from images.common.storage import fetch_folder
from images.train import record as records
from images.train.scores import means
from images.train.storage import Storage
from schemas.gate import ALWAYS
from schemas.metrics import Metrics
from schemas.row_scores import RowScores
from schemas.run_record import RunRecord
from tests.images.train.conftest import IDENTITY

pytestmark = pytest.mark.heavy

QUESTIONS = ("the red book", "the table", "the lamp", "the door", "the blue cup", "the cat", "the map", "the key")
ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"Where is {thing}?"},
            {"role": "assistant", "content": f"On shelf {number}."},
        ]
    }
    for number, thing in enumerate(QUESTIONS)
]
SHORT = {"num_train_epochs": 3, "per_device_train_batch_size": 4, "learning_rate": 0.01, "max_length": 64}


@dataclass
class Bench:
    """A bucket with rows and a base, and runs of the program on it."""

    bucket: str
    emulator: str
    cache: Path
    storage: Storage

    def spec(self, name: str, **more: Any) -> dict[str, Any]:
        return {
            "fleet": "acme",
            "experiment": "shelves",
            "identity": IDENTITY,
            "model": {"base": f"{self.bucket}/base"},
            "data": {"train": f"{self.bucket}/train.jsonl", "eval": f"{self.bucket}/train.jsonl"},
            "adapter": {"r": 4, "lora_alpha": 8},
            "training": SHORT,
            "output": {"record": f"{self.bucket}/runs/{name}.json", "lock": f"{self.bucket}/runs/{name}.lock"},
            **more,
        }

    def start(self, name: str, job: str = "", **more: Any) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "images.train", "--spec", json.dumps(self.spec(name, **more))]
        own = {
            "STORAGE_EMULATOR_HOST": self.emulator,
            "AIP_MODEL_DIR": f"{self.bucket}/artifacts/{name}/model/",
            "LORAFORM_CACHE": str(self.cache),
            "CLOUD_ML_JOB_ID": job or name,
        }
        return subprocess.Popen(
            words, env={**os.environ, **own}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def train(self, name: str, **more: Any) -> RunRecord:
        running = self.start(name, **more)
        out, err = running.communicate(timeout=300)
        assert running.returncode == 0, out + err
        return self.record(name)

    def record(self, name: str) -> RunRecord:
        found, _ = records.find(self.storage, f"{self.bucket}/runs/{name}.json")
        assert found is not None
        return found

    def artifact(self, name: str, into: Path) -> Path:
        return fetch_folder(f"{self.bucket}/artifacts/{name}/model", into, client=self.storage.google())


@pytest.fixture
def bench(bucket: str, emulator: str, base: Path, tmp_path: Path, storage: Storage) -> Bench:
    storage.upload_folder(base, f"{bucket}/base")
    storage.write(f"{bucket}/train.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS).encode())
    return Bench(bucket, emulator, tmp_path / "cache", storage)


def test_a_lora_run_leaves_an_adapter_and_a_record(bench: Bench, tmp_path: Path) -> None:
    record = bench.train("one", metrics=["exact_match"])

    folder = bench.artifact("one", tmp_path / "got")
    config = json.loads((folder / "adapter_config.json").read_text())
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "generation_config.json",
        "metrics.json",
        "parity.json",
        "predictions.jsonl",
        "scores.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert config["base_model_name_or_path"] == f"{bench.bucket}/base"
    assert config["target_modules"] == sorted(config["target_modules"])
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == [2]
    report = Metrics.model_validate_json((folder / "metrics.json").read_text())
    assert {**report.metrics, "train_loss": record.metrics["train_loss"]} == record.metrics
    assert (report.rows, report.answers, report.form, len(report.samples)) == (8, 8, "adapter", 8)
    assert report.metrics["eval_loss"] < report.base["eval_loss"]
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    matched = [line["scores"]["exact_match"] for line in lines]
    gained = [one - line["base"]["scores"]["exact_match"] for one, line in zip(matched, lines, strict=True)]
    assert report.metrics["exact_match"] == pytest.approx(sum(matched) / 8)
    assert report.gains["exact_match"].gain == pytest.approx(sum(gained) / 8)
    assert report.intervals["exact_match"].low <= report.metrics["exact_match"] <= report.intervals["exact_match"].high
    assert report.checks["stopped"].passed is (report.metrics["stopped"] >= 0.95)
    scores = RowScores.model_validate_json((folder / "scores.json").read_text())
    assert set(record.metrics) == {*ALWAYS, "exact_match", "stopped"}
    assert record.metrics["perplexity"] == pytest.approx(math.exp(record.metrics["eval_loss"]), abs=1e-4)
    assert (scores.eval_digest, len(scores.rows)) == (record.eval_digest, record.counts.eval_rows)
    assert means(scores)["exact_match"] == pytest.approx(record.metrics["exact_match"], abs=1e-6)
    assert record.artifact_uri == f"{bench.bucket}/artifacts/one/model"
    assert (record.counts.train_rows, record.counts.effective_batch, record.counts.optimizer_steps) == (8, 4, 6)
    assert record.data[0].generation is not None
    assert record.sample["learnt"] == "On shelf 0.<|end|>"
    assert bench.storage.read(f"{bench.bucket}/runs/one.lock") is None


def test_queries_and_a_users_own_metric_are_judged_after_a_training(bench: Bench) -> None:
    script = "CREATE TABLE shelf (n INT); INSERT INTO shelf VALUES (1), (2);"
    rows = [{"prompt": f"above {n}?", "completion": f"SELECT n FROM shelf WHERE n > {n}"} for n in range(8)]
    bench.storage.write(f"{bench.bucket}/sql.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    bench.storage.write(f"{bench.bucket}/shop.sql", script.encode())
    bench.storage.write(f"{bench.bucket}/own.py", b"def short(answer, expected, record):\n    return len(record)\n")
    place = f"{bench.bucket}/sql.jsonl"

    record = bench.train(
        "sql",
        metrics=["sql_match"],
        data={"train": place, "eval": place, "format": "prompt_completion"},
        scoring={"own": {"short": f"{bench.bucket}/own.py:short"}, "sql_script": f"{bench.bucket}/shop.sql"},
    )

    assert (record.metrics["short"], 0 <= record.metrics["sql_match"] <= 1) == (2.0, True)


def test_the_same_seed_gives_the_same_adapter_and_another_seed_another(bench: Bench) -> None:
    first, second = bench.train("first"), bench.train("second")
    other = bench.train("other", training={**SHORT, "seed": 7})

    assert first.artifact_digest == second.artifact_digest
    assert first.artifact_digest != other.artifact_digest


def test_a_qlora_run_is_repeatable_and_its_adapter_loads_on_the_base(bench: Bench, base: Path, tmp_path: Path) -> None:
    first, second = bench.train("first", method="qlora"), bench.train("second", method="qlora")

    folder = bench.artifact("first", tmp_path / "got")
    load = (
        "import sys; from peft import PeftModel; from transformers import AutoModelForCausalLM as A;"
        "m = PeftModel.from_pretrained(A.from_pretrained(sys.argv[1]), sys.argv[2]);"
        "print(sum('lora_' in n for n, _ in m.named_parameters()))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", load, str(base), str(folder)], capture_output=True, text=True, check=True
    )
    assert first.artifact_digest == second.artifact_digest
    assert int(loaded.stdout) == 14


def test_full_fine_tuning_leaves_a_whole_model(bench: Bench, tmp_path: Path) -> None:
    record = bench.train("full", method="full", adapter={})

    folder = bench.artifact("full", tmp_path / "got")
    assert (folder / "model.safetensors").is_file()
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]
    assert not (folder / "adapter_config.json").exists()
    assert record.method == "full"


def test_plain_text_and_packing_train_too(bench: Bench) -> None:
    rows = "".join(json.dumps({"text": f"{thing} is on shelf {n}."}) + "\n" for n, thing in enumerate(QUESTIONS))
    bench.storage.write(f"{bench.bucket}/text.jsonl", rows.encode())

    plain = bench.train("plain", data={"train": f"{bench.bucket}/text.jsonl", "format": "text"})
    packed = bench.train(
        "packed",
        data={"train": f"{bench.bucket}/text.jsonl", "format": "text"},
        training={**SHORT, "packing": True},
    )

    assert plain.counts.optimizer_steps == 6
    assert 0 < packed.counts.optimizer_steps < plain.counts.optimizer_steps


def test_sigterm_ends_the_run_with_its_own_code_and_frees_the_lock(bench: Bench) -> None:
    running = bench.start("stopped", training={**SHORT, "num_train_epochs": 5000})
    wait_for_step(running)

    running.send_signal(signal.SIGTERM)

    out, err = running.communicate(timeout=60)
    assert running.returncode == 143, out + err
    assert out.splitlines()[-1] == "error: Interrupted by SIGTERM. Run again; nothing was recorded."
    assert bench.storage.read(f"{bench.bucket}/runs/stopped.lock") is None


def test_a_killed_run_is_followed_by_another_and_a_living_one_is_not(bench: Bench) -> None:
    living = bench.start("one", job="1", training={**SHORT, "num_train_epochs": 5000})
    wait_for_step(living)
    second = bench.start("one", job="2")
    second.communicate(timeout=60)
    living.kill()
    living.communicate()

    bench.train("one")

    assert second.returncode == 14
    assert bench.record("one").job == "one"


def test_a_loss_that_is_no_number_ends_the_run(bench: Bench) -> None:
    running = bench.start("wild", training={**SHORT, "learning_rate": 1e30, "num_train_epochs": 40, "max_grad_norm": 0})

    out, err = running.communicate(timeout=300)

    assert running.returncode == 17, out + err
    assert "the training diverged. Lower learning_rate" in out.splitlines()[-1]


def test_a_module_that_the_model_lacks_is_told_without_a_traceback(bench: Bench) -> None:
    running = bench.start("lacks", adapter={"target_modules": ["c_attn"]})

    out, err = running.communicate(timeout=300)

    assert (running.returncode, "Traceback" in err) == (2, False)
    assert "c_attn" in out.splitlines()[-1]


def wait_for_step(running: subprocess.Popen[str]) -> None:
    """Read its log until the first training step."""
    assert running.stdout is not None
    for line in running.stdout:
        if '"event": "step"' in line:
            return
    raise AssertionError("it ended before its first step")


def test_a_run_goes_on_from_the_adapter_of_an_earlier_one(bench: Bench) -> None:
    first = bench.train("first", training={**SHORT, "num_train_epochs": 12})
    second = bench.train("second", start_from=f"{bench.bucket}/runs/first.json")
    alone = bench.train("alone")
    missing = bench.start("missing", start_from=f"{bench.bucket}/runs/none.json")
    out, _ = missing.communicate(timeout=300)

    assert second.metrics["train_loss"] < alone.metrics["train_loss"]
    assert second.metrics["eval_loss"] < first.metrics["eval_loss"]
    assert (missing.returncode, "Train that experiment first" in out.splitlines()[-1]) == (11, True)
