"""Training as a Vertex AI custom job: immutable once created, named by the server, found again by its labels.

A succeeded job is not yet a trained model: the run record says that, and the planner reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from reconciler.backends import labels, payloads
from reconciler.backends.failures import failure_of
from reconciler.backends.kind import Kind, Payload, existing, impossible, wanted
from reconciler.backends.refs import resolved
from reconciler.backends.rungs import on_rung, rungs, strategy_of, told
from reconciler.backends.subject import Subject, attempt_key, environment, given, machine_spec
from reconciler.core.calls import Call, Scene
from reconciler.core.changes import Change
from reconciler.core.errors import LoraformError
from reconciler.core.identity import canonical, identity_of
from reconciler.core.later import Later
from reconciler.core.resources import Failure, Json, LiveResource, Phase, Resource, Role, Value
from reconciler.core.target import region_of
from schemas.effects import Effect
from schemas.primitives import seconds
from schemas.training_spec import DataSource, MixedRows, Output, Provenance, Scoring, TrainingSpec

NAME = "custom_job"

STATES = (
    "JOB_STATE_UNSPECIFIED",
    "JOB_STATE_QUEUED",
    "JOB_STATE_PENDING",
    "JOB_STATE_RUNNING",
    "JOB_STATE_SUCCEEDED",
    "JOB_STATE_FAILED",
    "JOB_STATE_CANCELLING",
    "JOB_STATE_CANCELLED",
    "JOB_STATE_PAUSED",
    "JOB_STATE_EXPIRED",
    "JOB_STATE_UPDATING",
    "JOB_STATE_PARTIALLY_SUCCEEDED",
)
"""`google.cloud.aiplatform.v1.JobState` by number."""

PHASES: Mapping[str, Phase] = {
    "JOB_STATE_QUEUED": Phase.PENDING,
    "JOB_STATE_PENDING": Phase.PENDING,
    "JOB_STATE_RUNNING": Phase.RUNNING,
    "JOB_STATE_UPDATING": Phase.RUNNING,
    "JOB_STATE_SUCCEEDED": Phase.READY,
    "JOB_STATE_FAILED": Phase.FAILED,
    "JOB_STATE_EXPIRED": Phase.FAILED,
    "JOB_STATE_PARTIALLY_SUCCEEDED": Phase.FAILED,
    "JOB_STATE_CANCELLED": Phase.FAILED,
    "JOB_STATE_CANCELLING": Phase.DELETING,
}
"""A paused job, like any state that is not listed, is `unknown`: it is waited for, and after an hour shown."""


STRATEGIES = ("STRATEGY_UNSPECIFIED", "ON_DEMAND", "LOW_COST", "STANDARD", "SPOT", "", "FLEX_START")
"""`google.cloud.aiplatform.v1.Scheduling.Strategy` by number."""

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

RECIPE: int = TrainingSpec.model_fields["recipe"].default
"""The trainer's recipe: raised by hand, with a `!`, when the same spec means another result on purpose."""


def desired(subject: Subject) -> Resource:
    """The training of an experiment: a run, done once its run record exists."""
    run = subject.experiment.run
    identity = training_identity(subject)
    return Resource(
        address=subject.address(Role.TRAINING),
        kind=NAME,
        identity=identity,
        attempt_key=attempt_key(_settings(subject)),
        fields=Later(lambda: subject.fields(Effect.RETRAIN, Effect.RUN, Effect.EVALUATE)),
        body=Later(lambda: _body(subject, identity, training_spec(subject, identity).model_dump(mode="json"))),
        uploads=subject.uploads(*READ),
        once=True,
        accelerators=run.machine.accelerator_count * run.machine.replica_count,
        rungs=rungs(subject, identity),
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


def training_spec(subject: Subject, identity: str) -> TrainingSpec:
    """What the trainer is told; commit and plan are filled in when the job is created."""
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
        metrics=experiment.evaluation.metrics,
        generation=dict(experiment.serving.generation) if experiment.serving else {},
        scoring=_scoring(subject),
        output=Output(record=target.record_uri(identity), lock=target.lock_uri(identity)),
        provenance=Provenance(manifest=subject.source.path),
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


def live(payload: Payload, fleet: str) -> tuple[LiveResource, ...]:
    """The one job in a `CustomJob` payload, when it is ours."""
    address = labels.owner(payload, fleet)
    if address is None:
        return ()
    state = payloads.enum(payload, "state", STATES)
    phase = PHASES.get(state, Phase.UNKNOWN)
    own = labels.labels_of(payload)
    spec = payloads.mapping(payload, "job_spec")
    folder = payloads.mapping(spec, "base_output_directory")
    return (
        LiveResource(
            address=address,
            kind=NAME,
            name=payloads.text(payload, "name"),
            stamp=own.get(labels.IDENTITY, ""),
            phase=phase,
            outputs={
                "job": payloads.text(payload, "name"),
                "state": state,
                "output_directory": payloads.text(folder, "output_uri_prefix"),
                "labels": own,
                **_machines(spec, phase),
                "strategy": strategy_of(spec),
                "region": region_of(payloads.text(payload, "name")),
                **_spent(payload, spec, phase),
            },
            failure=_failure(payload, state) if phase is Phase.FAILED else None,
            attempt_key=own.get(labels.ATTEMPT, ""),
            rung=int(number) if (number := own.get(labels.RUNG, "")).isdecimal() else 0,
            since=_since(payload, phase),
            created=payloads.seconds(payload, "create_time"),
            history=phase in (Phase.READY, Phase.FAILED),
            protect=own.get(labels.PROTECT) == labels.YES,
        ),
    )


def create(change: Change, scene: Scene) -> tuple[Call, ...]:
    """One CreateCustomJob. The job takes no caller's id, so nothing is tolerated: the claim guards against doubles."""
    resource = wanted(change)
    body = resolved(resource.body, scene.outputs)
    if not isinstance(body, Mapping):
        raise LoraformError(f"{resource.address}: the body of a custom job is a mapping")
    job_spec = payloads.mapping(body, "job_spec")
    rung = resource.rungs[change.rung] if resource.rungs else None
    several = len(resource.rungs) > 1
    pools = [
        _with_arguments(pool, scene, partial(told, job_spec, rung if several else None))
        for pool in payloads.messages(job_spec, "worker_pool_specs")
    ]
    stamps = {**change.stamps, labels.RUNG: str(change.rung)} if several else change.stamps
    job: Json = {
        **body,
        "labels": labels.stamped(resource, scene, stamps),
        "job_spec": {**on_rung(job_spec, rung), "worker_pool_specs": pools},
    }
    parent = f"{scene.parent.rsplit('/', 1)[0]}/{rung.region}" if rung else scene.parent
    return (Call("JobService", "CreateCustomJob", {"parent": parent, "custom_job": job}),)


def cancel(change: Change, scene: Scene) -> tuple[Call, ...]:
    """CancelCustomJob; a job that has ended meanwhile, or is gone, is as good as cancelled."""
    request = {"name": existing(change).name}
    return (Call("JobService", "CancelCustomJob", request, frozenset({"NOT_FOUND", "FAILED_PRECONDITION"})),)


def delete(change: Change, scene: Scene) -> tuple[Call, ...]:
    """DeleteCustomJob; the run record and the artifact stay."""
    request = {"name": existing(change).name}
    return (Call("JobService", "DeleteCustomJob", request, frozenset({"NOT_FOUND"})),)


def _body(subject: Subject, identity: str, spec: Mapping[str, Value]) -> Mapping[str, Value]:
    experiment, run = subject.experiment, subject.experiment.run
    scheduling = run.scheduling
    pool: dict[str, Value] = {
        "machine_spec": machine_spec(
            run.machine.machine_type, run.machine.accelerator_type, run.machine.accelerator_count
        ),
        "container_spec": {
            "image_uri": subject.target.images["train"],
            "args": spec,
            "env": environment(run.env),
        },
    }
    disk = given({"boot_disk_type": run.machine.boot_disk_type, "boot_disk_size_gb": run.machine.boot_disk_size_gb})
    if disk:
        pool["disk_spec"] = disk
    workers = run.machine.replica_count - 1
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
        "base_output_directory": {"output_uri_prefix": subject.target.artifact_uri(identity, run.attempt)},
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
        "labels": {**experiment.labels, **run.labels},
        "job_spec": job_spec,
    }
    if run.encryption_spec:
        body["encryption_spec"] = {"kms_key_name": run.encryption_spec.kms_key_name}
    return body


def _failure(payload: Payload, state: str) -> Failure:
    fallback = {
        "JOB_STATE_CANCELLED": "the job was cancelled",
        "JOB_STATE_EXPIRED": "the job ran longer than its timeout",
    }.get(state, "the job failed and the service gives no message")
    if state == "JOB_STATE_CANCELLED" and not payload.get("error"):
        return failure_of({"code": 1}, fallback)
    return failure_of(payload.get("error"), fallback)


def _since(payload: Payload, phase: Phase) -> float:
    if phase in (Phase.READY, Phase.FAILED):
        return payloads.seconds(payload, "end_time", "update_time", "create_time")
    if phase is Phase.RUNNING:
        return payloads.seconds(payload, "start_time", "create_time")
    if phase is Phase.PENDING:
        return payloads.seconds(payload, "create_time")
    return payloads.seconds(payload, "update_time", "create_time")


def _machines(spec: Payload, phase: Phase) -> dict[str, Json]:
    """What a job that runs has of machines, as far as it costs something now."""
    if phase is not Phase.RUNNING:
        return {}
    pools: list[Json] = [
        {"machine": payloads.mapping(pool, "machine_spec"), "replicas": payloads.integer(pool, "replica_count")}
        for pool in payloads.messages(spec, "worker_pool_specs")
    ]
    strategy = payloads.enum(payloads.mapping(spec, "scheduling"), "strategy", STRATEGIES)
    return {"machines": pools, "spot": strategy in ("SPOT", "FLEX_START")}


def _spent(payload: Payload, spec: Payload, phase: Phase) -> dict[str, Json]:
    """How long a job that succeeded ran, in seconds, and the accelerators that it had: what the next one may take."""
    if phase is not Phase.READY:
        return {}
    begun, ended = payloads.seconds(payload, "start_time"), payloads.seconds(payload, "end_time")
    machines = (
        (payloads.mapping(pool, "machine_spec"), payloads.integer(pool, "replica_count"))
        for pool in payloads.messages(spec, "worker_pool_specs")
    )
    taken = sum(payloads.integer(machine, "accelerator_count") * replicas for machine, replicas in machines)
    return {"run_seconds": ended - begun, "accelerators": taken} if begun and ended > begun else {}


def _with_arguments(
    pool: Mapping[str, Json], scene: Scene, tell: Callable[[Mapping[str, Json]], Mapping[str, Json]]
) -> Json:
    """Write the training spec, a mapping until now, as the container's `--spec` argument, with its provenance."""
    container = payloads.mapping(pool, "container_spec")
    spec = tell(payloads.mapping(container, "args"))
    provenance = {
        **payloads.mapping(spec, "provenance"),
        "commit": scene.labels.get(labels.COMMIT, ""),
        "plan": scene.labels.get(labels.PLAN, ""),
    }
    arguments: Json = ["--spec", canonical({**spec, "provenance": provenance})]
    return {**pool, "container_spec": {**container, "args": arguments}}


KIND = Kind(NAME, live, create, impossible(NAME, "updated"), delete, cancel)
