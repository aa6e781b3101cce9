"""One training run from spec to record. The order is the law: record, lock, rows, model, training, artifact, record.

Whatever can fail cheaply fails first: a run that exists already or is a duplicate ends before anything heavy is
imported, a bad row, or a metric that cannot be computed, before the model is loaded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from images.train import harness
from images.train import record as records
from images.train.base import locate, locate_tokenizer
from images.train.dataset import Raw, prepare, read_files, sample
from images.train.hub import Hub
from images.train.lock import Lock, take, this_process
from images.train.progress import Progress
from images.train.scores import DIGITS, known_metrics
from images.train.settings import reading
from images.train.storage import Storage
from schemas.run_record import Counts, RunRecord
from schemas.training_spec import TrainingSpec


def run(spec: TrainingSpec, folder: str | None, progress: Progress, storage: Storage, env: Mapping[str, str]) -> None:
    """Train what `spec` says unless its run record exists; `folder` is where the artifact goes.

    Raises `TrainingFailed` with the cause and the remedy.
    """
    started = progress.clock()
    found, generation = records.find(storage, spec.output.record)
    if found is not None and not found.pruned:
        progress.note(f"{spec.output.record} exists: this identity is trained already")
        progress.say(
            "done",
            record=spec.output.record,
            artifact_uri=found.artifact_uri,
            artifact_digest=found.artifact_digest,
            seconds=progress.clock() - started,
            reused=True,
        )
        return
    wanted = known_metrics(spec.metrics, tuple(spec.scoring.own), spec.data.judged, spec.data.format)
    harness.check(spec.scoring.harness)
    target = (folder or spec.output.record.removesuffix(".json") + "/model").rstrip("/")
    job = env.get("CLOUD_ML_JOB_ID", "")
    with take(storage, spec.output.lock, this_process(job, spec.attempt)) as lock:
        progress.say("phase", phase="data")
        raw = read_files(storage, spec.data, Hub(spec.model.token_secret, env))
        record = _train(spec, target, raw, wanted, lock, progress, storage, env, started)
        lock.check()
        records.write(storage, spec.output.record, record, expected=generation)
    progress.say(
        "done",
        record=spec.output.record,
        artifact_uri=record.artifact_uri,
        artifact_digest=record.artifact_digest,
        seconds=progress.clock() - started,
        reused=False,
    )


def _train(
    spec: TrainingSpec,
    target: str,
    raw: Raw,
    wanted: tuple[str, ...],
    lock: Lock,
    progress: Progress,
    storage: Storage,
    env: Mapping[str, str],
    started: float,
) -> RunRecord:
    base = locate(spec.model, storage, progress, env)
    from images.train.artifact import write_artifact, write_card
    from images.train.checkpoints import keeper
    from images.train.evaluation import EvalRows, evaluate
    from images.train.evaluation_files import write_evaluation
    from images.train.evaluation_order import settings_of
    from images.train.fitting import expected_steps, fit
    from images.train.loading import has_fixed_day, load_model, load_tokenizer, stop_ids
    from images.train.served import Artifact
    from images.train.settings import look_at_hardware, lora_config, quantization_config, sft_config

    words = locate_tokenizer(spec.model, base, storage, progress, env)
    tokenizer = load_tokenizer(words, spec.model, spec.training.get("eos_token"))
    stops = stop_ids(base, tokenizer)
    if has_fixed_day(tokenizer):
        progress.note("the chat template writes the day's date: it is 26 Jul 2024 here and where the model is served")
    rows = prepare(raw, spec.data, tokenizer, stops, reading(spec), progress, spec.scoring.max_samples)
    shown = sample(rows.train[0], tokenizer)
    progress.say("sample", **shown)

    progress.say("phase", phase="model")
    hardware = look_at_hardware(env)
    progress.say(
        "start",
        experiment=spec.experiment,
        identity=spec.identity,
        attempt=spec.attempt,
        method=spec.method,
        device=f"{hardware.device} ({hardware.name})",
        dtype=hardware.dtype,
        threads=hardware.threads,
    )
    with tempfile.TemporaryDirectory(prefix="loraform-train-") as scratch:
        measured = settings_of(spec, wanted, rows, storage, Path(scratch))
        steps = expected_steps(len(rows.train), spec.training)
        config = sft_config(spec, hardware, f"{scratch}/checkpoints", steps, progress)
        adapter = lora_config(spec)
        quantization = quantization_config(spec, hardware)
        model = load_model(base, spec.model, hardware, quantization, full=spec.method == "full")

        def keep(model: Any, epoch: int, step: int) -> None:
            out = Path(scratch) / f"checkpoint-{epoch}"
            out.mkdir()
            write_artifact(out, model, tokenizer, spec, stops)
            uri = f"{str(spec.output.checkpoints).rstrip('/')}/{out.name}"
            storage.upload_folder(out, uri)
            progress.say("checkpoint", epoch=epoch, step=step, uri=uri)

        keeping = keeper(keep) if spec.output.checkpoints else None
        fitted = fit(model, tokenizer, rows, config, adapter, progress, lock.check, keeping)
        metrics = {name: round(value, DIGITS) for name, value in fitted.metrics.items()}
        progress.say("phase", phase="artifact")
        lock.check()
        out = Path(scratch) / "artifact"
        out.mkdir()
        digest = write_artifact(out, fitted.trainer.model, tokenizer, spec, stops)
        batch, steps, seconds = fitted.effective_batch, fitted.steps, fitted.seconds
        storage.upload_folder(out, target)  # Whatever becomes of the evaluation, what was trained is kept.
        del model, fitted  # Training wants its memory no more: the evaluation loads the artifact.
        if rows.eval or measured.harness_tasks:
            progress.say("phase", phase="evaluation")
            artifact = Artifact(out, base, spec.model, spec.method, quantization)
            found = evaluate(
                measured, artifact, EvalRows(rows.eval, tokenizer, stops, rows.eval_digest), hardware, progress
            )
            metrics |= found.metrics
            write_evaluation(out, found)
            write_card(out, spec, metrics, digest)
            lock.check()
            storage.upload_folder(out, target)
        progress.say("metrics", **metrics)
    return RunRecord(
        fleet=spec.fleet,
        experiment=spec.experiment,
        identity=spec.identity,
        attempt=spec.attempt,
        method=spec.method,
        job=env.get("CLOUD_ML_JOB_ID", ""),
        artifact_uri=target,
        artifact_digest=digest,
        base=spec.model.base,
        revision=spec.model.revision,
        metrics=metrics,
        eval_digest=rows.eval_digest,
        evaluation=spec.evaluation.identity if spec.evaluation else "",
        data=raw.read,
        counts=Counts(
            train_rows=len(rows.train),
            eval_rows=len(rows.eval),
            train_tokens=rows.tokens,
            effective_batch=batch,
            optimizer_steps=steps,
            left_out=rows.left_out,
        ),
        versions=records.versions(),
        started=records.timestamp(started),
        finished=records.timestamp(progress.clock()),
        train_seconds=round(seconds, 3),
        commit=spec.provenance.commit,
        plan=spec.provenance.plan,
        strategy=spec.provenance.strategy,
        region=spec.provenance.region,
        sample=shown,
    )
