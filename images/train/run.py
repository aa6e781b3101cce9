"""One training run from spec to record. The order is the law: record, lock, rows, model, training, artifact, record.

Whatever can fail cheaply fails first: a run that exists already or is a duplicate ends before anything heavy is
imported, a bad row, or a metric that cannot be computed, before the model is loaded.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from images.train import harness, trackers
from images.train import record as records
from images.train.base import locate, locate_tokenizer
from images.train.dataset import Raw, prepare, read_files, sample
from images.train.failures import SpecInvalid
from images.train.hub import Hub
from images.train.lock import take, this_process
from images.train.masks import Encoded
from images.train.processes import Processes, join
from images.train.progress import Progress
from images.train.resume import clear
from images.train.scores import DIGITS, known_metrics
from images.train.settings import reading
from images.train.signals import Notice
from images.train.storage import Storage
from images.train.tensorboard import VARIABLE, Board
from images.train.trial import chosen, held_apart, report
from schemas.gate import SCORED
from schemas.run_record import Counts, RunRecord
from schemas.training_spec import TrainingSpec


def run(
    spec: TrainingSpec,
    folder: str | None,
    progress: Progress,
    storage: Storage,
    env: Mapping[str, str],
    notice: Notice,
) -> None:
    """Train what `spec` says unless its run record exists; `folder` is where the artifact goes.

    Of several processes that train together the first one alone writes and tells. Raises `TrainingFailed` with the
    cause and the remedy.
    """
    started = progress.clock()
    processes = join(env)
    if not processes.first:
        progress = Progress(io.StringIO(), progress.clock)
    found, generation = processes.told(records.find(storage, spec.output.record) if processes.first else None)
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
    trackers.check(spec.training.get("report_to"))
    target = (folder or spec.output.record.removesuffix(".json") + "/model").rstrip("/")
    run_ = _Run(spec, target, wanted, progress, storage, env, processes, notice, started)
    if not processes.first:
        _train(run_, read_files(storage, spec.data, Hub(spec.model.token_secret, env)), lambda: None)
        return
    job = env.get("CLOUD_ML_JOB_ID", "")
    with take(storage, spec.output.lock, this_process(job, spec.attempt)) as lock:
        progress.say("phase", phase="data")
        raw = read_files(storage, spec.data, Hub(spec.model.token_secret, env))
        record = _train(run_, raw, lock.check)
        lock.check()
        records.write(storage, spec.output.record, record, expected=generation)
        if spec.output.resume is not None:
            clear(storage, spec.output.resume, progress)
    progress.say(
        "done",
        record=spec.output.record,
        artifact_uri=record.artifact_uri,
        artifact_digest=record.artifact_digest,
        seconds=progress.clock() - started,
        reused=False,
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """What all steps of one run look at."""

    spec: TrainingSpec
    target: str
    wanted: tuple[str, ...]
    progress: Progress
    storage: Storage
    env: Mapping[str, str]
    processes: Processes
    notice: Notice
    started: float


def _board(run_: _Run) -> str:
    """Where TensorBoard's events go; nowhere for processes that only train."""
    return run_.env.get(VARIABLE, "") if run_.processes.first else ""


def _train(run_: _Run, raw: Raw, check: Callable[[], None]) -> RunRecord:
    """Everything from rows to artifact and metrics. `check` raises when the lock is lost.

    What processes other than the first return is nobody's record: they leave after the training.
    """
    spec, progress, storage, env = run_.spec, run_.progress, run_.storage, run_.env
    base = locate(spec.model, storage, progress, env)
    from images.train.artifact import write_artifact
    from images.train.card import write_card
    from images.train.checkpoints import keeper
    from images.train.evaluation import EvalRows, Settings, evaluate
    from images.train.evaluation_files import write_evaluation
    from images.train.evaluation_order import settings_of
    from images.train.fitting import expected_steps, fit
    from images.train.loading import has_fixed_day, load_model, load_tokenizer, stop_ids
    from images.train.parity import write_parity
    from images.train.processes import whole_weights
    from images.train.rendering import refuse_another_rendering
    from images.train.resume import Checkpoints, Resumed, fingerprint, saver
    from images.train.served import Artifact
    from images.train.settings import attention, look_at_hardware, lora_config, quantization_config, sft_config
    from images.train.start import started

    words = locate_tokenizer(spec.model, base, storage, progress, env)
    tokenizer = load_tokenizer(words, spec.model, spec.training.get("eos_token"))
    stops = stop_ids(base, tokenizer)
    if has_fixed_day(tokenizer):
        progress.note("the chat template writes the day's date: it is 26 Jul 2024 here and where the model is served")
    with tempfile.TemporaryDirectory(prefix="loraform-words-") as written:
        refuse_another_rendering(tokenizer, Path(written), trust_remote_code=spec.model.trust_remote_code)
    rows = prepare(raw, spec.data, tokenizer, stops, reading(spec), progress, spec.scoring.max_samples)
    apart: list[Encoded] = []
    if spec.sweep is not None:
        learnt, apart = held_apart(rows.train, spec.sweep.fraction, spec.sweep.seed)
        rows = replace(rows, train=tuple(learnt))
        progress.note(f"{len(apart)} training rows are held back to compare the trials by, as sweep.fraction asks")
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
    with (
        tempfile.TemporaryDirectory(prefix="loraform-train-") as scratch,
        Board(storage, _board(run_), Path(scratch) / "board", progress) as board,
    ):
        measured = settings_of(spec, run_.wanted, rows, storage, Path(scratch))
        steps = expected_steps(len(rows.train), spec.training, run_.processes.size)
        config = sft_config(spec, hardware, f"{scratch}/checkpoints", steps, progress)
        adapter = lora_config(spec)
        quantization = quantization_config(spec, hardware)
        source = spec.model.model_copy(
            update={"attn_implementation": attention(spec.model.attn_implementation, hardware, progress)}
        )
        model = load_model(base, source, hardware, quantization, full=spec.method == "full")
        if spec.start_from is not None:
            model, adapter = started(model, adapter, spec.start_from, storage, progress, env), None

        def keep(model: Any, epoch: int, step: int) -> None:
            out = Path(scratch) / f"checkpoint-{epoch}"
            out.mkdir()
            write_artifact(out, model, tokenizer, spec, stops)
            uri = f"{str(spec.output.checkpoints).rstrip('/')}/{out.name}"
            storage.upload_folder(out, uri)
            progress.say("checkpoint", epoch=epoch, step=step, uri=uri)

        callbacks = [board.callback()]
        callbacks += [keeper(keep)] if spec.output.checkpoints and run_.processes.first else []
        checkpoints, resumed = None, Resumed()
        if spec.output.resume is not None:
            versions = records.versions()
            fits = fingerprint(spec.identity, rows.train, run_.processes.size, versions)
            every, first = spec.output.resume_every, run_.processes.first
            checkpoints = Checkpoints(storage, spec.output.resume, every, fits, progress, check, run_.notice, first)
            resumed = checkpoints.find(Path(scratch) / "resumed")
            best = bool(config.load_best_model_at_end)
            callbacks.append(saver(checkpoints, resumed, run_.processes.agree, keep_local=best))
        with run_.notice.deferred() if checkpoints is not None else nullcontext():
            fitted = fit(model, tokenizer, rows, config, adapter, progress, check, callbacks, resumed)
        metrics = {name: round(value, DIGITS) for name, value in fitted.metrics.items()}
        progress.say("phase", phase="artifact")
        check()
        weights = whole_weights(fitted.trainer)
        out, digest = Path(scratch) / "artifact", ""
        out.mkdir()
        run_.processes.wait()
        if run_.processes.first:
            digest = write_artifact(out, fitted.trainer.model, tokenizer, spec, stops, weights)
            write_parity(out, fitted.trainer.model, rows.eval or rows.train)
            storage.upload_folder(out, run_.target)  # Whatever becomes of the evaluation, what was trained is kept.
        batch, steps, seconds = fitted.effective_batch, fitted.steps, fitted.seconds
        del model, fitted, weights  # Training wants its memory no more: the evaluation loads the artifact.
        run_.processes.leave()
        if run_.processes.first and (rows.eval or measured.harness_tasks):
            progress.say("phase", phase="evaluation")
            artifact = Artifact(out, base, source, spec.method, quantization)
            found = evaluate(
                measured, artifact, EvalRows(rows.eval, tokenizer, stops, rows.eval_digest), hardware, progress
            )
            metrics |= found.metrics
            write_evaluation(out, found)
            write_card(out, spec, metrics, digest)
            check()
            storage.upload_folder(out, run_.target)
        if run_.processes.first and spec.sweep is not None:
            artifact = Artifact(out, base, spec.model, spec.method, quantization)
            one = Settings(metrics=tuple({spec.sweep.metric} & set(SCORED)), against_base=False)
            by = evaluate(one, artifact, EvalRows(apart, tokenizer, stops, ""), hardware, progress)
            if spec.sweep.metric not in by.metrics:
                raise SpecInvalid(f"nothing measures sweep.metric {spec.sweep.metric!r}", "Name another one.")
            report(spec.sweep.metric, by.metrics[spec.sweep.metric], steps, env)
            progress.say("trial", trial=env.get("CLOUD_ML_TRIAL_ID", ""), **by.metrics)
        progress.say("metrics", **metrics)
        board.add({f"final/{name}": value for name, value in metrics.items()}, steps)
        if run_.processes.first:
            trackers.tell(spec.training.get("report_to"), metrics)
    return RunRecord(
        fleet=spec.fleet,
        experiment=spec.experiment,
        identity=spec.identity,
        attempt=spec.attempt,
        method=spec.method,
        job=env.get("CLOUD_ML_JOB_ID", ""),
        artifact_uri=run_.target,
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
        started=records.timestamp(run_.started),
        finished=records.timestamp(progress.clock()),
        train_seconds=round(seconds, 3),
        commit=spec.provenance.commit,
        plan=spec.provenance.plan,
        strategy=spec.provenance.strategy,
        region=spec.provenance.region,
        sample=shown,
        spec=spec.model_dump(mode="json"),
        trial=env.get("CLOUD_ML_TRIAL_ID", "") if spec.sweep else "",
        chosen=chosen(spec),
    )
