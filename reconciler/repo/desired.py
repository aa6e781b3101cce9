"""Experiments -> desired resources, through the backends, with everything that the repository itself must supply.

Problems are collected, never raised. An experiment with an error has no resources: whoever plans must stop at an
error, or the plan would take its live objects for removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeAlias

from reconciler.backends import deployment, endpoint, evaluation, model, training
from reconciler.backends.subject import Subject
from reconciler.core.errors import Diagnostic, Severity
from reconciler.core.resources import Resource, Source
from reconciler.core.target import Target
from reconciler.repo.files import Files
from reconciler.repo.inputs import inputs_of
from schemas.effects import declared_fields
from schemas.experiment import Experiment
from schemas.project import Project

Locate: TypeAlias = Callable[[str], Source]
"""Where a manifest gives a field, by its dotted path; the manifest itself for an empty path."""


def desired(
    experiments: Iterable[tuple[Experiment, Locate]], project: Project, target: Target, files: Files
) -> tuple[tuple[Resource, ...], tuple[Diagnostic, ...]]:
    """The resources that git wants on `target`, by experiment and role, and what is in the way, by place.

    `project` says nothing yet that a resource depends on and that `target` does not hold.
    """
    resources: list[Resource] = []
    diagnostics: list[Diagnostic] = []
    for experiment, locate in sorted(experiments, key=lambda item: item[0].name):
        found, problems = _of_experiment(experiment, locate, target, files)
        resources += found
        diagnostics += problems
    return tuple(resources), tuple(sorted(diagnostics, key=lambda item: (item.source, item.rule, item.message)))


def resources_of(subject: Subject) -> tuple[Resource, ...]:
    """The resources of one experiment: a training, and its evaluation where there are rows for that; where it serves,
    also its model, endpoint and deployment.
    """
    trained = training.desired(subject)
    evaluated = evaluation.desired(subject, trained)
    runs = (trained,) if evaluated is None else (trained, evaluated)
    serving = subject.experiment.serving
    if serving is None:
        return runs
    version = model.desired(subject, serving, trained)
    address = endpoint.desired(subject, serving)
    return *runs, version, address, deployment.desired(subject, serving, version, address, runs[-1])


def _of_experiment(
    experiment: Experiment, locate: Locate, target: Target, files: Files
) -> tuple[tuple[Resource, ...], list[Diagnostic]]:
    inputs, problems = inputs_of(experiment, target, files)
    diagnostics = [
        Diagnostic(locate(problem.path), problem.rule, problem.message, problem.remedy) for problem in problems
    ]
    if any(item.severity is Severity.ERROR for item in diagnostics):
        return (), diagnostics
    found = resources_of(Subject(experiment, target, declared_fields(experiment), locate(""), inputs))
    if experiment.moved_from:
        found = tuple(replace(resource, moved_from=experiment.moved_from) for resource in found)
    return found, diagnostics
