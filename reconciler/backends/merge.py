"""Merging what a training left into its base: a run of its own, done once, between a training and its merged model.

It runs where the training ran, and needs none of its accelerators: the base is put together in the machine's memory.
One that fails leaves the training and its adapter as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.backends import labels
from reconciler.backends.rungs import rungs
from reconciler.backends.subject import Subject
from reconciler.backends.training import job_body, training_spec
from reconciler.core.identity import identity_of
from reconciler.core.later import Later
from reconciler.core.resources import Ref, Resource, Role, Value
from schemas.effects import Effect
from schemas.machine import Machine

RECIPE = 1
"""Raised by hand, with a `!`, when merging the same adapter means another result on purpose."""


def desired(subject: Subject, training: Resource) -> Resource | None:
    """The merge of what `training` learns; None where the experiment serves no merged adapter."""
    if not subject.experiment.merges:
        return None
    run = subject.experiment.run
    identity = identity_of("merge", {"recipe": RECIPE}, [training.identity])
    machine = Machine(
        machine_type=run.machine.machine_type,
        accelerator_type=run.machine.accelerator_type,
        accelerator_count=run.machine.accelerator_count,
    )

    def body() -> Mapping[str, Value]:
        spec: Mapping[str, Value] = training_spec(subject, identity).model_dump(mode="json")
        return job_body(
            subject,
            identity,
            {**spec, "merge": Ref(training.address, "artifact_uri")},
            machine=machine,
            output=subject.target.artifact_uri(identity, run.attempt),
            own_labels={labels.TRAINED_BY: training.stamp},
        )

    return replace(
        training,
        address=subject.address(Role.MERGE),
        identity=identity,
        fields=Later(lambda: subject.fields(Effect.RUN)),
        body=Later(body),
        depends_on=(training.address,),
        uploads=subject.uploads("model.base"),
        evaluates="",
        accelerators=machine.accelerator_count,
        rungs=rungs(subject, identity),
    )
