"""Experiments -> desired resources, through the backends, with everything that the repository itself must supply.

Problems are collected, never raised. An experiment with an error has no resources: whoever plans must stop at an
error, or the plan would take its live objects for removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

from reconciler.backends import deployment, endpoint, evaluation, merge, model, training
from reconciler.backends.subject import Input, Subject
from reconciler.core.errors import Diagnostic, Severity
from reconciler.core.resources import Resource, Source
from reconciler.core.target import Target
from reconciler.repo.checks import FROM
from reconciler.repo.files import AnyFiles
from reconciler.repo.inputs import Problem, inputs_of
from schemas.effects import declared_fields
from schemas.experiment import Experiment
from schemas.project import Project

Locate: TypeAlias = Callable[[str], Source]
"""Where a manifest gives a field, by its dotted path; the manifest itself for an empty path."""


def desired(
    experiments: Iterable[tuple[Experiment, Locate]],
    project: Project,
    target: Target,
    files: AnyFiles,
    trained: Mapping[str, str] = MappingProxyType({}),
) -> tuple[tuple[Resource, ...], tuple[Diagnostic, ...]]:
    """The resources that git wants on `target`, by experiment and role, and what is in the way, by place.

    `project` says nothing yet that a resource depends on and that `target` does not hold. `trained` are the training
    identities of experiments that are not among `experiments`, by name.
    """
    resources: dict[str, tuple[Resource, ...]] = {}
    diagnostics: list[Diagnostic] = []
    known, left = dict(trained), {item[0].name: item for item in sorted(experiments, key=lambda item: item[0].name)}
    while left:
        # Those first whose predecessor is known; where there are none left, the others have none that can be used.
        ready = [name for name, (one, _) in left.items() if one.model.from_ is None or one.model.from_ in known]
        for name in ready or list(left):
            experiment, locate = left.pop(name)
            found, problems = _of_experiment(experiment, locate, target, files, known)
            resources[name] = found
            diagnostics += problems
            if found:
                known[name] = found[0].identity
    every = (resource for name in sorted(resources) for resource in resources[name])
    return tuple(every), tuple(sorted(diagnostics, key=lambda item: (item.source, item.rule, item.message)))


def resources_of(subject: Subject) -> tuple[Resource, ...]:
    """The resources of one experiment: a training, and its evaluation where there are rows for that; where it serves,
    also its model, endpoint and deployment, and a merge before the model where it serves merged.
    """
    trained = training.desired(subject)
    evaluated = evaluation.desired(subject, trained)
    runs = (trained,) if evaluated is None else (trained, evaluated)
    serving = subject.experiment.serving
    if serving is None:
        return runs
    merged = merge.desired(subject, trained)
    version = model.desired(subject, serving, trained, merged)
    address = endpoint.desired(subject, serving)
    made = runs if merged is None else (*runs, merged)
    return *made, version, address, deployment.desired(subject, serving, version, address, runs[-1])


def _of_experiment(
    experiment: Experiment, locate: Locate, target: Target, files: AnyFiles, trained: Mapping[str, str]
) -> tuple[tuple[Resource, ...], list[Diagnostic]]:
    inputs, problems = inputs_of(experiment, target, files)
    before = experiment.model.from_
    if before is not None and before in trained:
        identity = trained[before]
        inputs["model.from"] = Input(target.record_uri(identity), identity, f"{before}@{identity[:6]}")
    elif before is not None:
        problems.append(
            Problem("model.from", FROM, f"there is no training of `{before}` to go on from", "See what is said of it.")
        )
    diagnostics = [
        Diagnostic(locate(problem.path), problem.rule, problem.message, problem.remedy) for problem in problems
    ]
    if any(item.severity is Severity.ERROR for item in diagnostics):
        return (), diagnostics
    gates = tuple(locate(f"evaluation.gate.{number}.expr") for number in range(len(experiment.evaluation.gate)))
    found = resources_of(Subject(experiment, target, declared_fields(experiment), locate(""), inputs, gates))
    if experiment.moved_from:
        found = tuple(replace(resource, moved_from=experiment.moved_from) for resource in found)
    return found, diagnostics
