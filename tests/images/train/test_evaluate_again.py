"""Real evaluations of what was trained before, on the same rows and on others, from bucket to bucket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.evaluation_record import EvaluationRecord
from schemas.row_scores import RowScores
from tests.images.train.conftest import IDENTITY
from tests.images.train.test_training import ROWS, SHORT, Bench
from tests.images.train.test_training import bench as bench

pytestmark = pytest.mark.heavy

EVALUATION = "cd" * 32


def evaluated(bench: Bench, run: str, name: str, code: int = 0, **more: Any) -> tuple[EvaluationRecord | None, str]:
    """(the record that an evaluation of `run` left, all that the program said)."""
    uri = f"{bench.bucket}/evaluations/{name}.json"
    order = {"identity": EVALUATION, "record": uri}
    output = {"record": f"{bench.bucket}/runs/{run}.json", "lock": f"{bench.bucket}/evaluations/{name}.lock"}
    out, err = (running := bench.start(run, **{"evaluation": order, "output": output, **more})).communicate(timeout=300)
    assert running.returncode == code, out + err
    found = bench.storage.read(uri)
    return (EvaluationRecord.model_validate_json(found.content) if found else None), out


def other_rows(bench: Bench) -> dict[str, str]:
    rows = [{"messages": [*row["messages"][:1], {"role": "assistant", "content": "Nowhere."}]} for row in ROWS[:5]]
    bench.storage.write(f"{bench.bucket}/other.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    return {"train": f"{bench.bucket}/train.jsonl", "eval": f"{bench.bucket}/other.jsonl"}


def test_the_same_rows_say_the_same_and_other_rows_something_else(bench: Bench) -> None:
    trained = bench.train("one", metrics=["exact_match"], evaluation={"identity": EVALUATION})

    same, _ = evaluated(bench, "one", "same", metrics=["exact_match"])
    other, _ = evaluated(bench, "one", "other", data=other_rows(bench))

    assert same is not None
    assert other is not None
    assert trained.evaluation == EVALUATION
    assert set(same.metrics) == set(trained.metrics)
    for name, value in trained.metrics.items():
        assert same.metrics[name] == pytest.approx(value, abs=2e-3), name
    assert (same.eval_digest, same.eval_rows) == (trained.eval_digest, 8)
    assert (same.training, same.artifact_digest) == (IDENTITY, trained.artifact_digest)
    found = bench.storage.read(same.scores_uri)
    assert found is not None
    scores = RowScores.model_validate_json(found.content)
    assert (scores.eval_digest, len(scores.rows)) == (trained.eval_digest, 8)
    assert (other.eval_rows, other.scores_uri) == (5, "")
    assert other.eval_digest != trained.eval_digest
    assert other.metrics["eval_loss"] > same.metrics["eval_loss"]
    assert other.metrics["train_loss"] == trained.metrics["train_loss"]
    assert bench.record("one") == trained


def test_a_quantised_model_is_evaluated_as_it_was_trained_and_only_once(bench: Bench) -> None:
    trained = bench.train("one", method="qlora")

    same, _ = evaluated(bench, "one", "same", method="qlora")
    again, said = evaluated(bench, "one", "same", method="qlora")

    assert same is not None
    assert same.metrics["eval_loss"] == pytest.approx(trained.metrics["eval_loss"], abs=2e-3)
    assert again == same
    assert '"reused": true' in said


def test_a_full_model_is_evaluated_from_its_artifact(bench: Bench) -> None:
    full = {"method": "full", "adapter": {}, "training": {**SHORT, "learning_rate": 0.001}}
    trained = bench.train("full", **full)

    found, _ = evaluated(bench, "full", "full", **full)

    assert found is not None
    assert found.metrics["eval_loss"] == pytest.approx(trained.metrics["eval_loss"], abs=2e-3)


def test_what_is_not_trained_is_not_evaluated(bench: Bench) -> None:
    found, said = evaluated(bench, "never", "never", code=11)

    assert found is None
    assert "nothing is trained" in said
