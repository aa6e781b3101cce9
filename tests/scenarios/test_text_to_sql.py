"""Text to SQL: rows of one's own shape through a template, a base without a chat template, judged by running queries.

The base can repeat what it has read and has seen queries, but never a question with its answer: tuning has to teach it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tests.scenarios.conftest import Repository
from tests.text_to_sql.base import make_base
from tests.text_to_sql.rows import rows

pytestmark = pytest.mark.heavy

TRAIN, HELD_OUT = 2000, 120
TEMPLATE = """\
{% block prompt %}{{ sql_context }}
-- {{ sql_prompt }}
{% endblock %}{% block completion %}{{ sql }}{% endblock %}"""
MANIFEST = """\
apiVersion: loraform/v1
kind: Experiment
name: sql
owner: analysts
model: {base: ./base}
data: {train: rows/train.jsonl, eval: rows/eval.jsonl, template: rows/sql.jinja}
adapter: {method: lora, r: 32, lora_alpha: 64, target_modules: all-linear}
training:
  num_train_epochs: 3
  per_device_train_batch_size: 32
  learning_rate: 3e-3
  lr_scheduler_type: cosine
  warmup_steps: 0.05
  max_length: 128
evaluation:
  metrics: [sql_match, exact_match]
  sql: {field: sql_context}
  gate: ["sql_match >= 0.6"]
serving:
  engine: {max_model_len: 256}
  generation: {max_tokens: 64}
"""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    (tmp_path / "loraform.yaml").write_text("apiVersion: loraform/v1\nkind: Project\nfleet: acme\n")
    (tmp_path / ".gitignore").write_text(".loraform/\n")
    (tmp_path / "experiments").mkdir()
    (tmp_path / "rows").mkdir()
    (tmp_path / "experiments/sql.yaml").write_text(MANIFEST)
    (tmp_path / "rows/sql.jinja").write_text(TEMPLATE)
    found = rows(TRAIN + HELD_OUT, seed=1)
    for name, part in (("train", found[:TRAIN]), ("eval", found[TRAIN:])):
        (tmp_path / f"rows/{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    make_base(tmp_path / "base")
    made.git("init", "--quiet", "--initial-branch=main")
    made.git("add", ".")
    made.git("commit", "--quiet", "--message", "sql: from questions to queries")
    return made


def test_the_tuned_model_writes_queries_that_run_and_the_base_does_not(repository: Repository) -> None:
    repository.loraform("up", "--detach")
    try:
        repository.loraform("apply", "--wait")
        metrics = measured(repository)
    finally:
        repository.loraform("down")

    tuned, base = metrics["metrics"]["sql_match"], metrics["base"]["sql_match"]
    assert tuned - base >= 0.6, (tuned, base)
    assert metrics["gains"]["sql_match"]["interval"]["low"] >= 0.5


def measured(repository: Repository) -> dict[str, dict[str, float]]:
    """What the run measured, on the tuned model and on its base, as its artifact tells it."""
    client = storage.Client("loraform-local", AnonymousCredentials(), client_options={"api_endpoint": repository.url})
    blobs = (blob for bucket in client.list_buckets() for blob in client.list_blobs(bucket))
    (blob,) = [blob for blob in blobs if blob.name.endswith("/metrics.json")]
    told: dict[str, dict[str, float]] = json.loads(blob.download_as_bytes())
    return told
