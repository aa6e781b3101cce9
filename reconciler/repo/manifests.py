"""Disk -> experiments, endpoints, the project, and everything that is wrong with them, in one pass over all files.

A file may hold several documents, each a manifest of its own. Nothing here raises on bad input and nothing stops at
the first mistake: what can be read is returned, and every mistake is a diagnostic with its file, line and column.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from reconciler.core.errors import Diagnostic, Severity
from reconciler.core.resources import Source
from reconciler.repo import checks, messages, yaml_text
from reconciler.repo.checks import Surroundings
from reconciler.repo.yaml_text import Document, Plain
from schemas import rules
from schemas.effects import Manifest
from schemas.endpoint import Endpoint
from schemas.experiment import Experiment
from schemas.project import LOCAL, Project, Target
from schemas.rules import Finding

PROJECT = "loraform.yaml"
VERSION = "loraform/v1"

Steps = tuple[str | int, ...]
M = TypeVar("M", bound=Manifest)


@dataclass(frozen=True, slots=True)
class Placed(Generic[M]):
    """A manifest and where it stands. It keeps the text, so that any field can be found again when it is needed."""

    value: M
    source: Source
    raw: bytes = b""
    index: int = 0
    """Which document of the file."""

    def at(self, *path: str | int, key: bool = False) -> Source:
        """Where the value (or key) at `path` stands; the deepest part of the path that the file has."""
        documents, _ = yaml_text.read(self.raw)
        if self.index >= len(documents):
            return self.source
        return Source(self.source.path, *documents[self.index].locate(path, key=key))

    def locate(self, path: str) -> Source:
        """Where a dotted path of `declared_fields` stands (`adapter.r`); the manifest itself for an empty path.

        Maps with the user's own keys are leaves there, so that no step of such a path holds a dot.
        """
        return self.at(*path.split(".")) if path else self.source


def combined(*groups: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The diagnostics of several checks, sorted, with one per place and rule: the first group's wording wins."""
    found: dict[tuple[Source, str], Diagnostic] = {}
    for item in itertools.chain(*groups):
        found.setdefault((item.source, item.rule), item)
    return tuple(sorted(found.values(), key=lambda item: (item.source, item.rule, item.message)))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A repository as it was read. `project` has the fleet `local` when loraform.yaml is missing or unreadable."""

    root: Path
    project: Project
    target_name: str
    experiments: tuple[Placed[Experiment], ...]
    endpoints: tuple[Placed[Endpoint], ...]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def target(self) -> Target:
        """The target that was asked for."""
        return self.project.all_targets[self.target_name]

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that stop a plan."""
        return tuple(item for item in self.diagnostics if item.severity is Severity.ERROR)


def load(root: Path, target: str | None = None) -> Loaded:
    """Read the repository at `root` for one target (None: the project's default one)."""
    project, problems = _project(root / PROJECT, target)
    found = project or _Read(Project(fleet=LOCAL), Document(None), b"", 0, PROJECT)
    chosen = target or found.value.default_target
    chosen = chosen if chosen in found.value.all_targets else LOCAL
    place = found.value.all_targets[chosen]
    around = Surroundings(root, found.value.requires_pins(place), found.value.policy.allow_trust_remote_code)
    loader = _Loader(around, found)
    for path in _files(root, found.value.experiments, problems):
        loader.file(path)
    loader.together()
    if project is not None and place.kind != LOCAL and around.pins and loader.experiments:
        problems.extend(_placed(project, checks.of_images(project.value)))
    return Loaded(
        root,
        found.value,
        chosen,
        tuple(_kept(item) for item in sorted(loader.experiments, key=lambda item: (item.value.name, item.path))),
        tuple(_kept(item) for item in sorted(loader.endpoints, key=lambda item: (item.value.name, item.path))),
        tuple(sorted(set(problems + loader.problems), key=lambda item: (item.source, item.rule, item.message))),
    )


@dataclass(slots=True)
class _Read(Generic[M]):
    """A manifest that was read, with its nodes, while the load lasts."""

    value: M
    document: Document
    raw: bytes
    index: int
    path: str
    cut: frozenset[Steps] = frozenset()
    """Paths whose values were wrong by themselves."""


def _kept(item: _Read[M]) -> Placed[M]:
    return Placed(item.value, Source(item.path, *item.document.spot), item.raw, item.index)


def _files(root: Path, patterns: Iterable[str], problems: list[Diagnostic]) -> list[Path]:
    """The files that the patterns name, sorted. A `.yml` beside a pattern of `.yaml` is pointed out."""
    found: set[Path] = set()
    for pattern in patterns:
        try:
            found.update(path for path in root.glob(pattern) if path.is_file() or path.is_symlink())
            beside = sorted(root.glob(pattern.removesuffix(".yaml") + ".yml")) if pattern.endswith(".yaml") else []
        except (ValueError, OSError, NotImplementedError):
            continue
        for path in beside:
            source = Source(path.relative_to(root).as_posix())
            message = f"this file is not read: `experiments` in {PROJECT} names *.yaml"
            problems.append(Diagnostic(source, "ignored-file", message, "Rename it.", Severity.WARNING))
    return sorted(path for path in found if path != root / PROJECT)


def _bytes(path: Path, name: str, root: Path, problems: list[Diagnostic]) -> bytes | None:
    """What stands in a file, up to one byte more than a manifest may have."""
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(root.resolve()):
            problems.append(
                Diagnostic(
                    Source(name), "path-outside", f"{name} is a link that leads out of the repository", "Copy it."
                )
            )
            return None
        with path.open("rb") as stream:
            return stream.read(yaml_text.MAX_BYTES + 1)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        problems.append(Diagnostic(Source(name), "unreadable", f"the file cannot be read: {reason.lower()}"))
        return None


def _project(path: Path, target: str | None) -> tuple[_Read[Project] | None, list[Diagnostic]]:
    problems: list[Diagnostic] = []
    if not path.exists():
        message, remedy = f"there is no {PROJECT} here", "Go to the root of the repository, or run `loraform init`."
        return None, [Diagnostic(Source(PROJECT), "no-project", message, remedy)]
    raw = _bytes(path, PROJECT, path.parent, problems)
    if raw is None:
        return None, problems
    documents, wrong = yaml_text.read(raw)
    problems += [_diagnostic(PROJECT, problem) for problem in wrong]
    if len(documents) > 1:
        source = Source(PROJECT, *documents[1].spot)
        problems.append(Diagnostic(source, "several-documents", f"{PROJECT} has one document", "Delete the others."))
    for document in documents[:1]:
        model, cut = _validated(Project, document, document.value, PROJECT, None, problems)
        if model is not None:
            read = _Read(model, document, raw, 0, PROJECT, cut)
            problems += _placed(read, checks.of_project(model, target))
            return read, problems
    return None, problems


class _Loader:
    """Collects manifests and problems file by file."""

    def __init__(self, around: Surroundings, project: _Read[Project]) -> None:
        self.around = around
        self.project = project
        self.experiments: list[_Read[Experiment]] = []
        self.endpoints: list[_Read[Endpoint]] = []
        self.problems: list[Diagnostic] = []

    def file(self, path: Path) -> None:
        """Read one file with all its documents."""
        name = path.relative_to(self.around.root).as_posix()
        raw = _bytes(path, name, self.around.root, self.problems)
        if raw is None:
            return
        documents, wrong = yaml_text.read(raw)
        self.problems += [_diagnostic(name, problem) for problem in wrong]
        for index, document in enumerate(documents):
            self._document(document, raw, index, name)

    def _document(self, document: Document, raw: bytes, index: int, name: str) -> None:
        content = document.value
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "Endpoint":
            endpoint, cut = _validated(Endpoint, document, content, name, None, self.problems)
            if endpoint is not None:
                read = _Read(endpoint, document, raw, index, name, cut)
                self.endpoints.append(read)
                self._found(read, checks.of_model(endpoint.model, self.around))
        elif kind == "Experiment":
            defaults = self.project.value.defaults
            content = _merged(defaults, content) if defaults and isinstance(content, dict) else content
            experiment, cut = _validated(Experiment, document, content, name, self.project, self.problems)
            if experiment is not None:
                found = _Read(experiment, document, raw, index, name, cut)
                self.experiments.append(found)
                self._found(found, rules.findings(experiment))
                self._found(found, checks.of_experiment(experiment, self.around))
        else:
            self.problems += [_diagnostic(name, problem) for problem in document.problems]
            if not document.problems:
                self.problems.append(_unknown_kind(document, kind, name))

    def _found(self, read: _Read[Experiment] | _Read[Endpoint], findings: Iterable[Finding]) -> None:
        self.problems += _placed(read, findings, self.project)

    def together(self) -> None:
        """The rules between manifests."""
        self._names()
        experiments = [item.value for item in self.experiments]
        endpoints = [item.value for item in self.endpoints]
        for experiment in self.experiments:
            self._found(experiment, checks.of_member(experiment.value, endpoints))
        for endpoint in self.endpoints:
            self._found(endpoint, checks.of_endpoint(endpoint.value, experiments))

    def _names(self) -> None:
        taken: dict[str, _Read[Experiment] | _Read[Endpoint]] = {}
        every: list[_Read[Experiment] | _Read[Endpoint]] = [*self.experiments, *self.endpoints]
        for item in sorted(every, key=lambda item: (item.path, item.index)):
            first = taken.setdefault(item.value.name, item)
            if first is not item:
                where = Source(first.path, *first.document.locate(("name",)))
                self._found(
                    item,
                    [
                        Finding(
                            ("name",),
                            "duplicate-name",
                            f"the name `{item.value.name}` is taken by {where}",
                            "Rename one of the two.",
                        )
                    ],
                )
        for experiment in self.experiments:
            former = experiment.value.moved_from
            if former is not None and former in taken:
                message = f"`{former}` still exists, in {taken[former].path}"
                self._found(experiment, [Finding(("moved_from",), "moved-from", message, "Delete one of the two.")])


def _unknown_kind(document: Document, kind: Plain, name: str) -> Diagnostic:
    known = ("Experiment", "Endpoint")
    if not isinstance(document.value, dict):
        words = "a manifest is a mapping: lines of `key: value`"
        return Diagnostic(
            Source(name, *document.spot), "type", f"{words}; this is {messages.described(document.value)}"
        )
    if "kind" not in document.value:
        return Diagnostic(
            Source(name, *document.spot),
            "missing-key",
            "`kind` is missing",
            "Write `kind: Experiment` or `kind: Endpoint`.",
        )
    near = get_close_matches(str(kind).capitalize(), known, 1)
    remedy = f"Did you mean `{near[0]}`?" if near else f"Known are {' and '.join(known)}."
    if kind == "Project":
        remedy = f"The project is declared in {PROJECT} at the root."
    text = f"unknown kind {messages.shown(kind)}"
    return Diagnostic(Source(name, *document.locate(("kind",))), "unknown-kind", text, remedy)


def _validated(
    model: type[M],
    document: Document,
    content: Plain,
    name: str,
    project: _Read[Project] | None,
    problems: list[Diagnostic],
) -> tuple[M | None, frozenset[Steps]]:
    """The manifest, and the paths that were cut out of it.

    A manifest with mistakes is read again without them, so that the rules between its other fields can be tried.
    """
    own = [_diagnostic(name, problem) for problem in document.problems]
    spots = {(item.source.line, item.source.column) for item in own}
    problems += own
    try:
        return model.model_validate(content), frozenset()
    except ValidationError as error:
        errors = error.errors(include_url=False)
    for message in messages.explain(errors, model):
        place = _place(document, message.path, name, project, key=message.at_key or message.rule == "missing-key")
        if place.path != name or (place.line, place.column) not in spots:
            problems.append(Diagnostic(place, message.rule, message.text, message.remedy))
    paths = frozenset(tuple(step for step in error["loc"] if step != "[key]") for error in errors)
    try:
        return model.model_validate(_without(content, paths)), paths
    except ValidationError:
        return None, paths


def _without(content: Plain, paths: Iterable[Steps]) -> Plain:
    """A copy of the content without the values at fault. A list with a fault in it goes as a whole."""
    copy = _copied(content)
    for path in paths:
        parent = copy
        for depth, step in enumerate(path):
            inner = parent.get(str(step)) if isinstance(parent, dict) else None
            if isinstance(parent, dict) and (depth + 1 == len(path) or not isinstance(inner, dict)):
                parent.pop(str(step), None)
                break
            parent = inner
    return copy


def _copied(value: Plain) -> Plain:
    return {key: _copied(item) for key, item in value.items()} if isinstance(value, dict) else value


def _merged(defaults: Mapping[str, Plain], content: Mapping[str, Plain]) -> dict[str, Plain]:
    """The content over the defaults: mappings are merged, all else is replaced."""
    result: dict[str, Plain] = dict(defaults)
    for key, value in content.items():
        before = result.get(key)
        result[key] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return result


def _placed(read: _Read[Any], findings: Iterable[Finding], project: _Read[Project] | None = None) -> list[Diagnostic]:
    return [
        Diagnostic(
            _place(read.document, finding.path, read.path, project),
            finding.rule,
            finding.message,
            finding.remedy,
            Severity.WARNING if finding.warning else Severity.ERROR,
        )
        for finding in findings
        if not finding.absent or finding.absent not in read.cut
    ]


def _place(
    document: Document,
    path: tuple[str | int, ...],
    name: str,
    project: _Read[Project] | None,
    *,
    key: bool = False,
) -> Source:
    """Where a path stands: in the manifest, or in the project's defaults if only those have it."""
    spot, depth = document.find(path, key=key)
    if project is not None and depth < len(path):
        other, deeper = project.document.find(("defaults", *path), key=key)
        if deeper - 1 > depth:
            return Source(project.path, *other)
    return Source(name, *spot)


def _diagnostic(name: str, problem: yaml_text.Problem) -> Diagnostic:
    return Diagnostic(Source(name, *problem.spot), problem.rule, problem.message, problem.remedy)
