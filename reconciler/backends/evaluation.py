"""The evaluation of a trained model: a run of its own identity, found in the run record where the training did it.

Only where that does not tell (other rows, other scores, a machine of its own) is there a job: the training image,
told to evaluate the artifact that exists.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.backends import custom_job, labels
from reconciler.backends.rungs import rungs
from reconciler.backends.subject import Subject, attempt_key
from reconciler.backends.training import READ, evaluation_identity, is_evaluated, job_body, training_spec
from reconciler.core.later import Later
from reconciler.core.resources import Declared, Resource, Role, Value
from schemas.effects import Effect
from schemas.machine import Machine
from schemas.primitives import seconds
from schemas.training_spec import EvaluationOrder, Output, TrainingSpec

FOLDER = "evaluations"


def desired(subject: Subject, training: Resource) -> Resource | None:
    """The evaluation of what `training` learns; None where there is nothing to measure it by."""
    if not is_evaluated(subject):
        return None
    run = subject.experiment.run
    identity = evaluation_identity(subject, training.identity)
    machine = machine_of(subject)

    def body() -> Mapping[str, Value]:
        return job_body(
            subject,
            identity,
            evaluation_spec(subject, training, identity).model_dump(mode="json"),
            machine=machine,
            output=subject.target.artifact_uri(identity, run.attempt, kind=FOLDER),
            own_labels={labels.TRAINED_BY: training.stamp},
        )

    settings = {
        **subject.hashed(Effect.RUN),
        "run.attempt": run.attempt,
        "images.train": subject.target.images["train"],
    }
    return Resource(
        address=subject.address(Role.EVALUATION),
        kind=custom_job.NAME,
        identity=identity,
        attempt_key=attempt_key(settings),
        fields=Later(lambda: _fields(subject)),
        body=Later(body),
        depends_on=(training.address,),
        uploads=subject.uploads(*READ),
        once=True,
        accelerators=machine.accelerator_count,
        rungs=rungs(subject, identity, FOLDER),
        timeout=float(seconds(run.scheduling.timeout)) if run.scheduling.timeout else 0.0,
        lets_finish=run.on_change == "finish",
        protect=subject.experiment.protect,
        source=subject.source,
    )


def machine_of(subject: Subject) -> Machine:
    """`evaluation.machine`, else one machine of the kind that trains."""
    run, own = subject.experiment.run.machine, subject.experiment.evaluation.machine
    if own is not None:
        return own
    return Machine(
        machine_type=run.machine_type,
        accelerator_type=run.accelerator_type,
        accelerator_count=run.accelerator_count,
    )


def evaluation_spec(subject: Subject, training: Resource, identity: str) -> TrainingSpec:
    """What the image is told: all that the training was told, and that it is there already."""
    target = subject.target
    told = training_spec(subject, training.identity, identity)
    return told.model_copy(
        update={
            "evaluation": EvaluationOrder(identity=identity, record=target.evaluation_uri(identity)),
            "output": Output(record=target.record_uri(training.identity), lock=target.evaluation_lock_uri(identity)),
        }
    )


def _fields(subject: Subject) -> dict[str, Declared]:
    """What is measured, and on which machine."""
    machine = "evaluation.machine." if subject.experiment.evaluation.machine is not None else "run.machine."
    where = {
        path: item
        for path, item in subject.fields(Effect.RUN).items()
        if path.startswith((machine, "run.scheduling.strategy", "run.regions"))
    }
    return {**subject.fields(Effect.EVALUATE), **where}
