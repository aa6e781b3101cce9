"""The training of an experiment: a run, done once its run record exists. What its job is told, and who it is.

How a custom job is created, read and cancelled is `custom_job.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.backends import custom_job, labels, sweep_job
from reconciler.backends.rungs import rungs
from reconciler.backends.subject import Subject, attempt_key, environment, given, machine_spec
from reconciler.core.identity import identity_of
from reconciler.core.later import Later
from reconciler.core.resources import SHORT, Address, Json, Resource, Role, Value
from schemas.effects import Effect
from schemas.machine import Machine, TrainingMachine
from schemas.primitives import seconds
from schemas.training_spec import (
    DataSource,
    EvaluationOrder,
    MixedRows,
    Output,
    Provenance,
    Scoring,
    SweepOrder,
    TrainingSpec,
)

RECIPE: int = TrainingSpec.model_fields["recipe"].default
"""The trainer's recipe: raised by hand, with a `!`, when the same spec means another result on purpose."""

SPOT_S, STANDARD_S = 600.0, 1800.0
"""Seconds between checkpoints against interruption, on machines that may be taken away and on others."""

READ = (
    "model.base",
    "model.tokenizer",
    "data.train",
    "data.mix",
    "data.eval",
    "evaluation.own",
    "evaluation.sql.script",
)
"""The fields whose files the job reads."""


def desired(subject: Subject) -> Resource:
    """The training of an experiment: a run, done once its run record exists."""
    run, before = subject.experiment.run, subject.experiment.model.from_
    identity = training_identity(subject)
    evaluates = evaluation_identity(subject, identity) if evaluates_itself(subject) else ""
    own_labels = {labels.EVALUATES: evaluates[:SHORT]} if evaluates else {}

    sweep = subject.experiment.sweep

    def body() -> Mapping[str, Value]:
        spec = training_spec(subject, identity, evaluates).model_dump(mode="json")
        output = subject.target.artifact_uri(identity, run.attempt)
        job = job_body(subject, identity, spec, machine=run.machine, output=output, own_labels=own_labels)
        return job if sweep is None else sweep_job.sweep_body(sweep, job)

    return Resource(
        address=subject.address(Role.TRAINING),
        kind=custom_job.NAME if sweep is None else sweep_job.NAME,
        identity=identity,
        attempt_key=attempt_key(_settings(subject)),
        fields=Later(lambda: subject.fields(Effect.RETRAIN, Effect.RUN, Effect.EVALUATE)),
        body=Later(body),
        depends_on=() if before is None else (Address(before, Role.TRAINING),),
        uploads=subject.uploads(*READ),
        once=True,
        evaluates=evaluates[:SHORT],
        accelerators=run.machine.accelerator_count * run.machine.replica_count * (sweep.at_once if sweep else 1),
        runs=sweep.trials if sweep else 1,
        rungs=rungs(subject, identity) if sweep is None else (),
        timeout=float(seconds(run.scheduling.timeout)) if run.scheduling.timeout else 0.0,
        lets_finish=run.on_change == "finish",
        protect=subject.experiment.protect,
        source=subject.source,
    )


def _settings(subject: Subject) -> dict[str, Json]:
    """What a try depends on beside its identity. A gate judges what came out: it makes no failed run worth a retry."""
    settings = subject.hashed(Effect.RUN, Effect.EVALUATE)
    settings.pop("evaluation.gate", None)
    return {**settings, "run.attempt": subject.experiment.run.attempt, "images.train": subject.target.images["train"]}


def training_identity(subject: Subject) -> str:
    """A function of git alone: what is learnt, from which bytes, by which recipe."""
    return identity_of("training", {**subject.hashed(Effect.RETRAIN), "recipe": RECIPE})


def evaluation_identity(subject: Subject, training: str) -> str:
    """Of which artifact, on which rows, by which scores, in which form: not what a gate says of them."""
    fields = subject.hashed(Effect.EVALUATE)
    fields.pop("evaluation.gate", None)
    serving = subject.experiment.serving
    if serving is not None and serving.form != "adapter":
        fields["serving.form"] = serving.form
    if serving is not None and (subject.experiment.evaluation.metrics or subject.experiment.evaluation.own):
        # Answers are as long as requests get them: it is they that are scored.
        longest = dict(serving.generation).get("max_tokens")
        if longest is not None:
            fields["serving.generation.max_tokens"] = longest
    return identity_of("evaluation", fields, [training])


def is_evaluated(subject: Subject) -> bool:
    """There is something to measure it by: rows, or tasks of a harness."""
    return subject.experiment.data.judged or bool(subject.experiment.evaluation.harness)


def evaluates_itself(subject: Subject) -> bool:
    """The training job evaluates what it has learnt."""
    return is_evaluated(subject) and subject.experiment.evaluation.machine is None


def training_spec(subject: Subject, identity: str, evaluates: str = "") -> TrainingSpec:
    """What the trainer is told; commit and plan are filled in when the job is created.

    `evaluates` is the identity of the evaluation that the same job carries out.
    """
    experiment, target = subject.experiment, subject.target
    rows = experiment.data
    return TrainingSpec(
        fleet=target.fleet,
        experiment=experiment.name,
        identity=identity,
        attempt=experiment.run.attempt,
        recipe=RECIPE,
        method=experiment.adapter.method,
        model=subject.model_source(),
        start_from=subject.uri("model.from") if experiment.model.from_ is not None else None,
        data=DataSource(
            train=subject.uri("data.train"),
            mix=tuple(
                MixedRows(rows=subject.uri(f"data.mix.{index}"), weight=mixed.weight)
                for index, mixed in enumerate(rows.mix)
            ),
            eval=subject.uri("data.eval") if rows.eval is not None else None,
            eval_fraction=rows.eval_fraction,
            eval_seed=rows.eval_seed,
            format=rows.format,
            template=subject.uri("data.template") if rows.template is not None else None,
            default_context=rows.default_context,
            on_bad_row=rows.on_bad_row,
            max_bad_rows=rows.max_bad_rows,
            on_long_row=rows.on_long_row,
            deduplicate=rows.deduplicate,
            max_rows=rows.max_rows,
        ),
        adapter=dict(experiment.adapter),
        quantization=dict(experiment.effective_quantization),
        training=dict(experiment.training),
        metrics=experiment.evaluation.metrics if evaluates else (),
        generation=dict(experiment.serving.generation) if experiment.serving else {},
        sweep=_sweep(subject, identity),
        scoring=_scoring(subject) if evaluates else Scoring(base=False),
        evaluation=EvaluationOrder(identity=evaluates) if evaluates else None,
        output=Output(
            record=target.record_uri(identity),
            lock=target.lock_uri(identity),
            resume=target.checkpoints_uri(identity),
            resume_every=SPOT_S if {"spot", "flex_start"} & set(experiment.run.scheduling.strategy) else STANDARD_S,
        ),
        provenance=Provenance(manifest=subject.source.path),
    )


def _sweep(subject: Subject, identity: str) -> SweepOrder | None:
    sweep = subject.experiment.sweep
    if sweep is None:
        return None
    return SweepOrder(
        metric=sweep.metric,
        records=subject.target.trials_uri(identity),
        keys=tuple(sorted(sweep.parameters)),
        fraction=sweep.fraction,
        seed=sweep.seed,
    )


def _scoring(subject: Subject) -> Scoring:
    block, serving = subject.experiment.evaluation, subject.experiment.serving
    return Scoring(
        max_samples=block.max_samples,
        own={name: subject.uri(f"evaluation.own.{name}") for name in sorted(block.own)},
        sql_field=block.sql.field,
        sql_script=subject.uri("evaluation.sql.script") if block.sql.script is not None else None,
        base=block.base,
        harness=block.harness,
        form="merged" if serving is not None and serving.form == "merged" else "adapter",
    )


def job_body(
    subject: Subject,
    identity: str,
    spec: Mapping[str, Value],
    *,
    machine: Machine,
    output: str,
    own_labels: Mapping[str, str],
) -> Mapping[str, Value]:
    """The `CustomJob` that is told `spec`, on `machine`, with everything else as the block `run` has it."""
    experiment, run = subject.experiment, subject.experiment.run
    disk: dict[str, Json] = {}
    workers = 0
    if isinstance(machine, TrainingMachine):
        disk = given({"boot_disk_type": machine.boot_disk_type, "boot_disk_size_gb": machine.boot_disk_size_gb})
        workers = machine.replica_count - 1
    scheduling = run.scheduling
    pool: dict[str, Value] = {
        "machine_spec": machine_spec(machine.machine_type, machine.accelerator_type, machine.accelerator_count),
        "container_spec": {
            "image_uri": subject.target.images["train"],
            "args": spec,
            "env": environment(run.env),
        },
    }
    if disk:
        pool["disk_spec"] = disk
    pools: list[Value] = [{**pool, "replica_count": 1}, *([{**pool, "replica_count": workers}] if workers else [])]
    job_spec: dict[str, Value] = {
        "worker_pool_specs": pools,
        "scheduling": given(
            {
                "strategy": scheduling.strategy[0].upper(),
                "timeout": scheduling.timeout,
                "restart_job_on_worker_restart": scheduling.restart_job_on_worker_restart or None,
                "max_wait_duration": scheduling.max_wait_duration,
                "disable_retries": scheduling.disable_retries or None,
            }
        ),
        "base_output_directory": {"output_uri_prefix": output},
        **given(
            {
                "service_account": run.service_account,
                "network": run.network,
                "reserved_ip_ranges": list(run.reserved_ip_ranges),
                "tensorboard": run.tensorboard,
                "enable_web_access": run.enable_web_access or None,
                "enable_dashboard_access": run.enable_dashboard_access or None,
                "persistent_resource_id": run.persistent_resource_id,
            }
        ),
    }
    body: dict[str, Value] = {
        "display_name": f"{experiment.name}-{identity[:12]}",
        "labels": {**experiment.labels, **run.labels, **own_labels},
        "job_spec": job_spec,
    }
    if run.encryption_spec:
        body["encryption_spec"] = {"kms_key_name": run.encryption_spec.kms_key_name}
    return body
