"""A training image's program for tests of the command: it learns nothing, but keeps to the contract of the container.

`training.seed` in the manifest says how it goes: 7 fails, 8 takes long, 9 has no memory for more than two rows at a
time, anything else ends at once. Of 40 evaluation rows the model answers 20 and as many more as its rank; evaluating
by itself goes the same way.
"""

from __future__ import annotations

import json
import sys
import time

from google.cloud import storage

from schemas.evaluation_record import EvaluationRecord
from schemas.evaluation_record import metadata_of as evaluation_metadata
from schemas.row_scores import RowScores
from schemas.run_record import Counts, RunRecord, metadata_of
from schemas.training_spec import TrainingSpec


def say(event: str, **fields: object) -> None:
    print("LORAFORM " + json.dumps({"event": event, **fields}), flush=True)


def main() -> int:
    spec = TrainingSpec.model_validate_json(sys.argv[sys.argv.index("--spec") + 1])
    how = spec.training.get("seed", 1)
    say("start", experiment=spec.experiment, method=spec.method, device="cpu")
    say("phase", phase="training")
    if how == 7:
        say("failed", message="train.jsonl:3: no answer")
        print("error: train.jsonl:3: no answer", flush=True)
        return 2
    if how == 9 and spec.training.get("per_device_train_batch_size", 8) > 2:
        print("Traceback (most recent call last):")
        print("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.96 GiB.", flush=True)
        return 1
    for step in range(600 if how == 8 else 2):
        say("step", step=step + 1, steps=600, loss=2.0 / (step + 1), eta_seconds=600.0 - step)
        time.sleep(1.0 if how == 8 else 0.0)
    bucket, _, name = spec.output.record.removeprefix("gs://").partition("/")
    client = storage.Client(project="p")
    if spec.evaluation is not None and spec.evaluation.record is not None:
        evaluate(spec, client.bucket(bucket), spec.evaluation.record.removeprefix(f"gs://{bucket}/"))
        return 0
    folder = f"{name.rsplit('/', 2)[0]}/artifacts/{spec.identity}"
    client.bucket(bucket).blob(f"{folder}/model/adapter_config.json").upload_from_string("{}")
    metrics, digest, scores = measured(spec)
    if scores is not None:
        client.bucket(bucket).blob(f"{folder}/model/scores.json").upload_from_string(scores.model_dump_json())
    record = RunRecord(
        fleet=spec.fleet,
        experiment=spec.experiment,
        identity=spec.identity,
        attempt=spec.attempt,
        method=spec.method,
        artifact_uri=f"gs://{bucket}/{folder}/model",
        artifact_digest="0" * 64,
        base=spec.model.base,
        metrics=metrics,
        eval_digest=digest,
        evaluation=spec.evaluation.identity if spec.evaluation else "",
        counts=Counts(train_rows=3, eval_rows=40 if digest else 0),
        commit=spec.provenance.commit,
    )
    blob = client.bucket(bucket).blob(name)
    blob.metadata = metadata_of(record)
    # A pruned record is replaced; any other is another run's word.
    before = client.bucket(bucket).get_blob(name)
    pruned = before is not None and (before.metadata or {}).get("pruned") == "true"
    blob.upload_from_string(record.model_dump_json(), if_generation_match=before.generation if pruned else 0)
    say("done", seconds=1.0, reused=False)
    return 0


def measured(spec: TrainingSpec) -> tuple[dict[str, float], str, RowScores | None]:
    """Metrics, digest of the rows, and scores where the manifest names some."""
    if not spec.metrics:
        return {"eval_loss": 0.5}, "", None
    right = min(40, 20 + spec.adapter.get("r", 8))
    answers = tuple(float(row < right) for row in range(40))
    digest = str(spec.data.eval)
    scores = RowScores(eval_digest=digest, rows=tuple(range(40)), metrics={"exact_match": answers})
    return {"eval_loss": 0.5, "exact_match": right / 40}, digest, scores


def evaluate(spec: TrainingSpec, bucket: storage.Bucket, name: str) -> None:
    """Of what is trained: its record goes to `name`."""
    trained = bucket.get_blob(spec.output.record.removeprefix(f"gs://{bucket.name}/"))
    assert trained is not None, "nothing is trained"
    assert spec.evaluation is not None
    metrics, digest, scores = measured(spec)
    where = f"{name.removesuffix('.json')}/scores.json"
    if scores is not None:
        bucket.blob(where).upload_from_string(scores.model_dump_json())
    record = EvaluationRecord(
        fleet=spec.fleet,
        experiment=spec.experiment,
        identity=spec.evaluation.identity,
        attempt=spec.attempt,
        training=spec.identity,
        artifact_uri=trained.metadata["artifact_uri"],
        artifact_digest=trained.metadata["artifact_digest"],
        metrics=metrics,
        eval_digest=digest,
        eval_rows=40 if digest else 0,
        scores_uri=f"gs://{bucket.name}/{where}" if scores else "",
    )
    blob = bucket.blob(name)
    blob.metadata = evaluation_metadata(record)
    blob.upload_from_string(record.model_dump_json())
    say("done", seconds=1.0, reused=False)


if __name__ == "__main__":
    sys.exit(main())
