"""Disk -> experiments, endpoints, the project, and everything that is wrong with them, in one pass over all files.

A file may hold several documents, each a manifest of its own. Nothing here raises on bad input and nothing stops at
the first mistake: what can be read is returned, and every mistake is a diagnostic with its file, line and column.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from reconciler.core.errors import Diagnostic, Severity
from reconciler.core.resources import Source
from reconciler.repo import checks, yaml_text
from reconciler.repo.checks import Surroundings
from reconciler.repo.manifest_files import PROJECT, manifest_bytes, manifest_files
from reconciler.repo.placed import Page, Placed, of_problem, page_of
from reconciler.repo.validation import merged, of_unknown_kind, validated
from reconciler.repo.yaml_nodes import Plain
from reconciler.repo.yaml_text import Document
from schemas import rules
from schemas.endpoint import Endpoint
from schemas.experiment import Experiment
from schemas.finding import Finding
from schemas.project import LOCAL, Project, Target

__all__ = ["Head", "Known", "Loaded", "Loader", "Placed", "combined", "head_of", "load", "loaded"]

Named = Placed[Experiment] | Placed[Endpoint]


class Known(NamedTuple):
    """A file with one experiment that needs no reading: the experiment, and what is to be said of it by itself."""

    placed: Placed[Experiment]
    found: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A repository as it was read. `project` has the fleet `local` when loraform.yaml is missing or unreadable."""

    root: Path
    project: Project
    target_name: str
    experiments: tuple[Placed[Experiment], ...]
    """By name."""
    endpoints: tuple[Placed[Endpoint], ...]
    diagnostics: tuple[Diagnostic, ...]
    """By place."""

    @property
    def target(self) -> Target:
        """The target that was asked for."""
        return self.project.all_targets[self.target_name]

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that stop a plan."""
        return tuple(item for item in self.diagnostics if item.severity is Severity.ERROR)


@dataclass(frozen=True, slots=True)
class Head:
    """The project as it was read for one target, and what its manifests are checked against."""

    project: Project
    page: Page
    chosen: str
    """The target's name."""
    around: Surroundings
    problems: tuple[Diagnostic, ...]

    @property
    def root(self) -> Path:
        """The repository's."""
        return self.around.root


def head_of(root: Path, target: str | None = None) -> Head:
    """Read `loraform.yaml` for one target (None: the project's default one)."""
    project, page, problems = _project(root, target)
    chosen = target or project.default_target
    chosen = chosen if chosen in project.all_targets else LOCAL
    pins = project.requires_pins(project.all_targets[chosen])
    around = Surroundings(root, pins, project.policy.allow_trust_remote_code)
    return Head(project, page, chosen, around, tuple(problems))


def load(root: Path, target: str | None = None) -> Loaded:
    """Read the repository at `root` for one target (None: the project's default one)."""
    head = head_of(root, target)
    return loaded(head, *manifest_files(root, head.project.experiments))


def loaded(
    head: Head, names: Iterable[str], ignored: Iterable[Diagnostic], known: Mapping[str, Known] = MappingProxyType({})
) -> Loaded:
    """Read the named files, but for what is known of some; all are checked together."""
    project = head.project
    loader = Loader(head)
    for name in names:
        if name in known:
            loader.experiments.append(known[name].placed)
            loader.problems += known[name].found
        else:
            loader.file(name)
    loader.together()
    problems = list(head.problems)
    if project.all_targets[head.chosen].kind != LOCAL and head.around.pins and loader.experiments:
        problems += head.page.diagnostics(checks.of_images(project))
    return Loaded(
        head.root,
        project,
        head.chosen,
        tuple(sorted(loader.experiments, key=_order)),
        tuple(sorted(loader.endpoints, key=_order)),
        _sorted({*problems, *ignored, *loader.problems}),
    )


def combined(*groups: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The diagnostics of several checks, sorted. Where two checks say the same (place and rule), the first one does."""
    found: list[Diagnostic] = []
    said: set[tuple[Source, str]] = set()
    for group in groups:
        fresh = [item for item in group if (item.source, item.rule) not in said]
        found += fresh
        said |= {(item.source, item.rule) for item in fresh}
    return _sorted(found)


def _sorted(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(sorted(diagnostics, key=lambda item: (item.source, item.rule, item.message)))


def _order(item: Named) -> tuple[str, Source]:
    return item.name, item.source


def _project(root: Path, target: str | None) -> tuple[Project, Page, list[Diagnostic]]:
    """The project and its page; a stand-in for both where there is none to read."""
    instead = Project(fleet=LOCAL), Page(PROJECT, Document(None))
    if not (root / PROJECT).exists():
        message, remedy = f"there is no {PROJECT} here", "Go to the root of the repository, or run `loraform init`."
        return *instead, [Diagnostic(Source(PROJECT), "no-project", message, remedy)]
    raw, unreadable = manifest_bytes(root, PROJECT)
    if unreadable is not None:
        return *instead, [unreadable]
    documents, wrong = yaml_text.read(raw)
    problems = [of_problem(PROJECT, problem) for problem in wrong]
    if len(documents) > 1:
        source = Source(PROJECT, *documents[1].spot)
        problems.append(Diagnostic(source, "several-documents", f"{PROJECT} has one document", "Delete the others."))
    if not documents:
        return *instead, problems
    page = Page(PROJECT, documents[0], raw)
    project, cut = validated(Project, page, page.document.value, problems)
    if project is None:
        return *instead, problems
    return project, page, problems + page.diagnostics(checks.of_project(project, target), cut)


class Loader:
    """Collects manifests and problems file by file."""

    def __init__(self, head: Head, scalars: dict[str, Plain] | None = None) -> None:
        """`scalars` remembers plain scalars, for whoever reads file by file."""
        self.around = head.around
        self.project = head.project
        self.page = head.page
        self.chosen = head.chosen
        self.place = head.project.all_targets[head.chosen]
        self.experiments: list[Placed[Experiment]] = []
        self.endpoints: list[Placed[Endpoint]] = []
        self.problems: list[Diagnostic] = []
        self.scalars = {} if scalars is None else scalars

    def file(self, name: str) -> None:
        """Read one file with all its documents."""
        raw, unreadable = manifest_bytes(self.around.root, name)
        if unreadable is not None:
            self.problems.append(unreadable)
        else:
            self.text(name, raw)

    def text(self, name: str, raw: bytes) -> None:
        """Read what stands in one file."""
        documents, wrong = yaml_text.read(raw, self.scalars)
        self.problems += [of_problem(name, problem) for problem in wrong]
        for index, document in enumerate(documents):
            kind = document.value.get("kind") if isinstance(document.value, dict) else None
            if kind == "Experiment":
                self._experiment(Page(name, document, raw, index, self.page))
            elif kind == "Endpoint":
                self._endpoint(Page(name, document, raw, index))
            else:
                page = Page(name, document, raw, index)
                self.problems += page.problems() or [of_unknown_kind(page)]

    def _experiment(self, page: Page) -> None:
        content, defaults = page.document.value, self.project.defaults
        if defaults and isinstance(content, dict):
            content = merged(defaults, content)
        experiment, cut = validated(Experiment, page, content, self.problems)
        if experiment is not None:
            self.experiments.append(page.placed(experiment))
            self.problems += page.diagnostics(rules.findings(experiment), cut)
            self.problems += page.diagnostics(checks.of_experiment(experiment, self.around), cut)
            self.problems += page.diagnostics(checks.of_regions(experiment, self.chosen, self.place))

    def _endpoint(self, page: Page) -> None:
        endpoint, cut = validated(Endpoint, page, page.document.value, self.problems)
        if endpoint is not None:
            self.endpoints.append(page.placed(endpoint))
            self.problems += page.diagnostics(checks.of_model(endpoint.model, self.around), cut)

    def together(self) -> None:
        """The rules between manifests."""
        endpoints = [item.value for item in self.endpoints]
        experiments = [item.value for item in self.experiments] if endpoints else []
        joining = [item for item in self.experiments if not item.alone]
        by_name = {item.name: item for item in self.experiments}
        for item, finding in itertools.chain(
            _names(self.experiments, self.endpoints),
            ((it, finding) for it in joining for finding in checks.of_member(it.value, endpoints)),
            ((it, finding) for it in joining for finding in checks.of_successor(it.value, _chain(it.value, by_name))),
            ((it, finding) for it in self.endpoints for finding in checks.of_endpoint(it.value, experiments)),
        ):
            self.problems += page_of(item, self.page).diagnostics([finding])


def _chain(experiment: Experiment, by_name: Mapping[str, Placed[Experiment]]) -> list[Experiment]:
    """What it goes on from, and what that goes on from, as far as there is something, or until a name comes twice."""
    found: list[Experiment] = []
    names = {experiment.name}
    while (before := (found or [experiment])[-1].model.from_) in by_name and before is not None:
        found.append(by_name[before].value)
        if before in names:
            break
        names.add(before)
    return found


def _names(experiments: list[Placed[Experiment]], endpoints: list[Placed[Endpoint]]) -> Iterator[tuple[Named, Finding]]:
    """Every name is there once, and nobody has moved from a name that is still there."""
    taken: dict[str, Named] = {}
    every: list[Named] = [*experiments, *endpoints]
    for item in sorted(every, key=lambda item: item.source):
        first = taken.setdefault(item.name, item)
        if first is not item:
            message = f"the name `{item.name}` is taken by {first.at('name')}"
            yield item, Finding(("name",), "duplicate-name", message, "Rename one of the two.")
    claimed: dict[str, Named] = {}
    for experiment in sorted((item for item in experiments if not item.alone), key=lambda item: item.source):
        for former in experiment.value.moved_from:
            if former == experiment.value.name:
                continue
            first = claimed.setdefault(former, experiment)
            if first is not experiment:
                message = f"`{first.value.name}` has moved from `{former}` as well, says {first.at('moved_from')}"
                remedy = "What is live can be adopted by one of the two: delete the other `moved_from`."
                yield experiment, Finding(("moved_from",), "moved-from", message, remedy)
            if former in taken:
                yield experiment, _still_there(experiment.value.name, former, taken[former])


def _still_there(name: str, former: str, other: Named) -> Finding:
    if isinstance(other.value, Experiment) and name in other.value.moved_from:
        message = f"`{name}` and `{former}` cannot change names with each other in one commit"
        remedy = "Go by a third name: move one of the two away first, apply, then move the other."
        return Finding(("moved_from",), "moved-from", message, remedy)
    message = f"`{former}` still exists, in {other.source.path}"
    return Finding(("moved_from",), "moved-from", message, "Delete one of the two, or `moved_from` if it is done.")
