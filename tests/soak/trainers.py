"""The imagined trainers: what the training image does with lock and run record, as far as others can see it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from reconciler.emulator import jobs
from reconciler.emulator.gcs.errors import StorageError
from reconciler.emulator.gcs.listing import Query
from reconciler.emulator.gcs.records import Conditions, StoredObject
from reconciler.emulator.wire.codec import Message
from schemas.evaluation_record import EvaluationRecord
from schemas.evaluation_record import metadata_of as evaluation_metadata
from schemas.run_record import Counts, RunRecord, metadata_of
from schemas.training_spec import TrainingSpec
from tests.soak.cloud import BUCKET, Cloud

ABSENT = Conditions(generation_match=0)
FLEETS = ("acme", "beta")
"""The fleets of this project that are ours to run; a third one is only there to be left alone."""
DEATHS = (
    "The replica workerpool0-0 exited with a non-zero status of 13.",
    "The replica workerpool0-0 was preempted by the service.",
    "Resources are insufficient in region: europe-west4. Please try a different region.",
    "The quota for custom_model_training_nvidia_l4_gpus has been exceeded.",
    "Internal error occurred for the current attempt.",
    "The replica workerpool0-0 exited with a non-zero status of 1. CUDA out of memory.",
)


@dataclass(slots=True)
class Trainers:
    """Who trains what: fleet and identity -> the job whose trainer holds the lock and works."""

    cloud: Cloud
    training: dict[str, str] = field(default_factory=dict)
    doubles: list[str] = field(default_factory=list)
    """What two trainers worked on at the same time."""
    count: Counter[str] = field(default_factory=Counter)
    """How often what happened."""

    def go_on(self, random: Random, *, well: bool) -> list[str]:
        """Every job of ours takes its next step or none, with `well` towards a good end. Returns what happened."""
        self.cloud.jobs_go_on()
        self._forget_the_dead()
        told: list[str] = []
        for job in self.cloud.live_jobs():
            if job.state == jobs.RUNNING and job.labels.get("loraform-fleet") in FLEETS:
                told += [word for word in [self._step(job, random, well)] if word]
        for line in told:
            self.count[" ".join(line.split()[2:])] += 1
        return told

    def records(self, fleet: str = "acme") -> frozenset[str]:
        """The stamps of a fleet's run records, without those that were pruned."""
        found = self.cloud.buckets.list_objects(BUCKET, Query(prefix=f"loraform/{fleet}/runs/")).items
        return frozenset(
            item.name.rsplit("/", 1)[1][:20] for item in found if item.name.endswith(".json") and not is_pruned(item)
        )

    def _step(self, job: Message, random: Random, well: bool) -> str:
        spec = TrainingSpec.model_validate_json(job.job_spec.worker_pool_specs[0].container_spec.args[1])
        number = job.name.rsplit("/", 1)[1]
        chance = 1.0 if well else random.random()
        label = f"{spec.experiment} {spec.identity[:8]}"
        key = f"{spec.fleet}/{_what(spec)}"
        mine = self.training.get(key) == job.name
        if not well and chance < 0.1:
            if mine:
                del self.training[key]
            self._unlock(spec, number)
            self.cloud.end_job(job.name, well=False, message=random.choice(DEATHS))
            return f"{label} fails"
        if not mine:
            return f"{label} {self._begin(spec, key, job.name, number)}" if well or chance < 0.8 else ""
        if not well and chance < 0.14:
            del self.training[key]
            return f"{label} is restarted"
        if not well and chance < 0.17:
            del self.training[key]
            self._unlock(spec, number)
            self.cloud.end_job(job.name, well=True)
            return f"{label} ends without a record"
        if chance < 0.5:
            return ""
        if well or chance > 0.55:
            self._record(spec, job.name, random)
        if well or chance > 0.6:
            del self.training[key]
            self._unlock(spec, number)
            self.cloud.end_job(job.name, well=True)
            return f"{label} ends"
        return f"{label} dawdles"

    def _begin(self, spec: TrainingSpec, key: str, job: str, number: str) -> str:
        alone = spec.evaluation is not None and spec.evaluation.record is not None
        if not alone and self._there(spec.output.record) and not self._pruned(spec.output.record):
            self.cloud.end_job(job, well=True)
            return "was trained already"
        if alone and not (self._there(spec.output.record) and not self._pruned(spec.output.record)):
            self.cloud.end_job(job, well=False, message="The replica exited with a non-zero status of 11.")
            return "has nothing to evaluate"
        content = json.dumps({"job": number}).encode()
        try:
            self.cloud.buckets.put(BUCKET, _object(spec.output.lock), content, conditions=ABSENT)
        except StorageError:
            held = json.loads(self.cloud.buckets.read(BUCKET, _object(spec.output.lock)))["job"]
            if held != number and held in {item.name.rsplit("/", 1)[1] for item in self.cloud.live_jobs()}:
                self.cloud.end_job(job, well=False, message="The replica exited with a non-zero status of 14.")
                return "is a duplicate"
            self.cloud.buckets.put(BUCKET, _object(spec.output.lock), content)
        if key in self.training:
            self.doubles.append(key)
        self.training[key] = job
        return "begins to evaluate" if alone else "begins"

    def _record(self, spec: TrainingSpec, job: str, random: Random) -> None:
        loss = Random(_what(spec)).choice((0.3, 0.8, 1.2))
        if spec.evaluation is not None and spec.evaluation.record is not None:
            self._evaluated(spec, spec.evaluation.record, job, loss)
            return
        record = RunRecord(
            fleet=spec.fleet,
            experiment=spec.experiment,
            identity=spec.identity,
            attempt=spec.attempt,
            method=spec.method,
            job=job,
            artifact_uri=f"gs://{BUCKET}/loraform/{spec.fleet}/artifacts/{spec.identity}/attempt-{spec.attempt}/model",
            artifact_digest=job.rsplit("/", 1)[1].rjust(64, "0"),
            base="tiny",
            metrics={"eval_loss": loss},
            eval_digest=str(spec.data.eval),
            evaluation=spec.evaluation.identity if spec.evaluation else "",
            counts=Counts(train_rows=10),
        )
        settings = {"metadata": metadata_of(record)}
        if self._pruned(spec.output.record) or not self._there(spec.output.record):
            content = record.model_dump_json().encode()
            self.cloud.buckets.put(BUCKET, _object(spec.output.record), content, settings)

    def _evaluated(self, spec: TrainingSpec, uri: str, job: str, loss: float) -> None:
        """The artifact that stands there is measured, unless it has been pruned meanwhile."""
        if not self._there(spec.output.record) or self._pruned(spec.output.record):
            return
        trained = json.loads(self.cloud.buckets.read(BUCKET, _object(spec.output.record)))
        record = EvaluationRecord(
            fleet=spec.fleet,
            experiment=spec.experiment,
            identity=_what(spec),
            attempt=spec.attempt,
            job=job,
            training=spec.identity,
            artifact_uri=trained["artifact_uri"],
            artifact_digest=trained["artifact_digest"],
            metrics={"eval_loss": loss},
            eval_digest=str(spec.data.eval),
        )
        content = record.model_dump_json().encode()
        self.cloud.buckets.put(BUCKET, _object(uri), content, {"metadata": evaluation_metadata(record)})

    def _forget_the_dead(self) -> None:
        alive = {job.name for job in self.cloud.live_jobs()}
        self.training = {key: job for key, job in self.training.items() if job in alive}

    def _there(self, uri: str) -> bool:
        try:
            self.cloud.buckets.get(BUCKET, _object(uri))
        except StorageError:
            return False
        return True

    def _pruned(self, uri: str) -> bool:
        try:
            found = self.cloud.buckets.get(BUCKET, _object(uri))
        except StorageError:
            return False
        return is_pruned(found)

    def _unlock(self, spec: TrainingSpec, number: str) -> None:
        if self._there(spec.output.lock):
            held = json.loads(self.cloud.buckets.read(BUCKET, _object(spec.output.lock)))["job"]
            if held == number:
                self.cloud.buckets.delete(BUCKET, _object(spec.output.lock))


def _what(spec: TrainingSpec) -> str:
    """The identity of what a job is there to do: of the evaluation where that is all."""
    alone = spec.evaluation is not None and spec.evaluation.record is not None
    return spec.evaluation.identity if alone and spec.evaluation else spec.identity


def is_pruned(record: StoredObject) -> bool:
    """Whether a run record says that its artifact is gone."""
    return dict(record.settings.get("metadata") or {}).get("pruned") == "true"


def _object(uri: str) -> str:
    return uri.removeprefix(f"gs://{BUCKET}/")
