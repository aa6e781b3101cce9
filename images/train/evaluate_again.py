"""One evaluation of an artifact that exists: other rows, other scores, or a machine of its own. Nothing is trained.

It measures as the evaluation at the end of a training does, by the same code. The order is that of a training: record,
lock, rows, model, scores, record. What is found beside the metrics lies in a folder of the record's name.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from images.common.storage import cache_folder, fetch_folder
from images.train import harness
from images.train import record as records
from images.train.base import locate, locate_tokenizer
from images.train.dataset import Raw, prepare, read_files
from images.train.failures import Duplicate, ModelNotFound, SpecInvalid, StorageFailed
from images.train.hub import Hub
from images.train.lock import Lock, take, this_process
from images.train.progress import Progress
from images.train.scores import known_metrics
from images.train.settings import reading
from images.train.storage import PreconditionFailed, Storage, translated
from schemas.evaluation_record import EvaluationRecord, metadata_of
from schemas.run_record import RunRecord
from schemas.training_spec import TrainingSpec


def evaluate_again(spec: TrainingSpec, uri: str, progress: Progress, storage: Storage, env: Mapping[str, str]) -> None:
    """Evaluate what `spec.output.record` names, unless the record at `uri` tells of that very artifact already.

    Raises `TrainingFailed` with the cause and the remedy.
    """
    started = progress.clock()
    trained, _ = records.find(storage, spec.output.record)
    if trained is None or trained.pruned:
        what = "tells of no artifact: it was pruned" if trained else "is not there: nothing is trained"
        raise ModelNotFound(f"{spec.output.record} {what}", "Train first.")
    known, generation = _find(storage, uri)
    reused = known is not None and known.artifact_digest == trained.artifact_digest
    if not reused:
        wanted = known_metrics(spec.metrics, tuple(spec.scoring.own), spec.data.judged, spec.data.format)
        harness.check(spec.scoring.harness)
        job = env.get("CLOUD_ML_JOB_ID", "")
        with take(storage, spec.output.lock, this_process(job, spec.attempt)) as lock:
            progress.say("phase", phase="data")
            raw = read_files(storage, spec.data, Hub(spec.model.token_secret, env))
            record = _evaluate(spec, uri, trained, raw, wanted, progress, storage, env, started)
            lock.check()
            _write(storage, uri, record, generation, lock)
    progress.say(
        "done",
        record=uri,
        artifact_uri=trained.artifact_uri,
        artifact_digest=trained.artifact_digest,
        seconds=progress.clock() - started,
        reused=reused,
    )


def _evaluate(
    spec: TrainingSpec,
    uri: str,
    trained: RunRecord,
    raw: Raw,
    wanted: tuple[str, ...],
    progress: Progress,
    storage: Storage,
    env: Mapping[str, str],
    started: float,
) -> EvaluationRecord:
    base = locate(spec.model, storage, progress, env)
    from images.train.evaluation import EvalRows, evaluate
    from images.train.evaluation_files import write_evaluation
    from images.train.evaluation_order import settings_of
    from images.train.loading import load_tokenizer, stop_ids
    from images.train.served import Artifact
    from images.train.settings import look_at_hardware, quantization_config

    words = locate_tokenizer(spec.model, base, storage, progress, env)
    tokenizer = load_tokenizer(words, spec.model, spec.training.get("eos_token"))
    stops = stop_ids(base, tokenizer)
    rows = prepare(raw, spec.data, tokenizer, stops, reading(spec), progress, spec.scoring.max_samples)
    if not rows.eval and not spec.scoring.harness:
        raise SpecInvalid("there are no rows to evaluate on", "Name them in data.eval.")
    progress.say("phase", phase="model")
    hardware = look_at_hardware(env)
    folder = _artifact(trained, storage, progress, env)
    artifact = Artifact(folder, base, spec.model, spec.method, quantization_config(spec, hardware))
    beside = uri.removesuffix(".json")
    with tempfile.TemporaryDirectory(prefix="loraform-evaluate-") as scratch:
        measured = settings_of(spec, wanted, rows, storage, Path(scratch))
        progress.say("phase", phase="evaluation")
        found = evaluate(
            measured, artifact, EvalRows(rows.eval, tokenizer, stops, rows.eval_digest), hardware, progress
        )
        out = Path(scratch) / "evaluation"
        out.mkdir()
        write_evaluation(out, found)
        storage.upload_folder(out, beside)
    # What the training lost is no matter of the rows that it is evaluated on: a gate may name it as well.
    lost = {name: value for name, value in trained.metrics.items() if name == "train_loss"}
    metrics = {**lost, **found.metrics}
    progress.say("metrics", **metrics)
    assert spec.evaluation is not None
    return EvaluationRecord(
        fleet=spec.fleet,
        experiment=spec.experiment,
        identity=spec.evaluation.identity,
        attempt=spec.attempt,
        job=env.get("CLOUD_ML_JOB_ID", ""),
        training=spec.identity,
        artifact_uri=trained.artifact_uri,
        artifact_digest=trained.artifact_digest,
        metrics=metrics,
        eval_digest=rows.eval_digest,
        eval_rows=len(rows.eval),
        scores_uri=f"{beside}/scores.json" if found.scores is not None else "",
        data=raw.read,
        started=records.timestamp(started),
        finished=records.timestamp(progress.clock()),
        commit=spec.provenance.commit,
        plan=spec.provenance.plan,
    )


def _artifact(trained: RunRecord, storage: Storage, progress: Progress, env: Mapping[str, str]) -> Path:
    """The artifact on this machine."""
    uri = trained.artifact_uri
    try:
        with translated(uri):
            client = storage.google() if uri.startswith("gs://") else None
            return fetch_folder(uri, cache_folder(env), client=client, note=progress.note)
    except (FileNotFoundError, ValueError) as error:
        raise ModelNotFound(f"{uri}: {error}", "Its run record names it: train again, or restore it.") from error


def _find(storage: Storage, uri: str) -> tuple[EvaluationRecord | None, int]:
    found = storage.read(uri)
    if found is None:
        return None, 0
    try:
        return EvaluationRecord.model_validate_json(found.content), found.generation
    except ValueError as error:
        raise StorageFailed(f"{uri} is no evaluation record", "Remove that object, then run again.") from error


def _write(storage: Storage, uri: str, record: EvaluationRecord, expected: int, lock: Lock) -> None:
    content = json.dumps(record.model_dump(mode="json"), sort_keys=True, indent=1).encode() + b"\n"
    try:
        storage.write(uri, content, expected=expected, metadata=metadata_of(record))
    except PreconditionFailed as error:
        found = storage.read(uri)
        if found is not None and found.content == content:
            return  # Our own write, whose answer was lost and which was then tried again.
        lock.check()
        raise Duplicate(
            f"duplicate: {uri} was written by another job meanwhile", "Nothing to do: that record is as good."
        ) from error
