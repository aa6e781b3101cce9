"""What every commit of a branch declared, for all experiments at once, in two calls of git.

A manifest is read when its blob, the part of the project that counts, or something that it names has changed, and a
blob is parsed once however often it comes back. An experiment is its name, and goes on under another through
`moved_from`. What each commit means is decided in `core.lineage`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from reconciler.core.errors import LoraformError, Severity
from reconciler.core.lineage import Commit, Kind, Point, Step, lineage
from reconciler.core.resources import Resource, Role, Source
from reconciler.core.target import Target
from reconciler.repo import yaml_text
from reconciler.repo.blobs import Blobs, open_blobs
from reconciler.repo.branch_log import Visit, walk
from reconciler.repo.checks import Surroundings
from reconciler.repo.desired import desired
from reconciler.repo.files import Files
from reconciler.repo.manifest_files import PROJECT
from reconciler.repo.manifests import Head, Loader
from reconciler.repo.many import quiet_collector
from reconciler.repo.placed import Page
from reconciler.repo.revision import paths_of
from reconciler.repo.tree_files import TreeFiles, folders_of, matches
from reconciler.repo.validation import validated
from schemas.endpoint import Endpoint
from schemas.experiment import Experiment
from schemas.project import LOCAL, Project

TargetOf = Callable[[Project], Target]
"""The target that the ledger is about, as a commit's project declares it. Raises LoraformError where it does not."""

_BESIDE = frozenset({"not-yet", "moved-from", "unknown-endpoint", "duplicate-name", "other-base", "capacity"})
"""Rules about what stands beside a manifest, or about this release: they say nothing against the text of a commit."""
_ON_DISK = frozenset({"missing-file", "path-outside"})
"""Rules about files, which are looked for in the commit instead of the working tree."""


@dataclass(frozen=True, slots=True)
class Routing:
    """The routes of a shared endpoint as one commit declares them: public name -> experiment -> percent."""

    commit: Commit
    routes: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]


@dataclass(frozen=True, slots=True)
class Past:
    """The whole of it. Experiments are known by their last name."""

    steps: dict[str, tuple[Step, ...]]
    """By experiment, newest first."""
    experiments: dict[str, Experiment]
    """As the last commit that could read them declares those that are still declared."""
    endpoints: dict[str, tuple[Routing, ...]]
    """By shared endpoint, oldest first."""
    shared: dict[str, Endpoint]
    """The shared endpoints that are still declared."""
    commits: tuple[Commit, ...]
    """All of the branch, oldest first."""


def read_past(
    root: Path, target: str | None, target_of: TargetOf, cache: Path | None = None, revision: str = "HEAD"
) -> Past:
    """Read the branch for a target (None: the project's default one).

    Raises LoraformError outside a git repository, and when git cannot answer.
    """
    visits = walk(root, revision)
    with open_blobs(root) as blobs, quiet_collector():
        texts = {
            blob.id for visit in visits for path, blob in visit.changes if blob and path.endswith((".yaml", ".yml"))
        }
        blobs.ahead(sorted(texts), yaml_text.MAX_BYTES + 1)
        reader = _Reader(TreeFiles(root, blobs, Files(root, cache)), blobs, target, target_of)
        for visit in visits:
            reader.go(visit)
    steps = {name: _kept(points, reader.own) for name, points in reader.points.items()}
    return Past(
        {name: found for name, found in steps.items() if found},
        {item.name: item for found in reader.declared.values() for item in found.experiments},
        {name: tuple(found) for name, found in reader.routes.items()},
        {item.name: item for found in reader.declared.values() for item in found.endpoints},
        tuple(visit.commit for visit in visits),
    )


def _kept(points: list[Point], own: set[tuple[str, str]]) -> tuple[Step, ...]:
    """A commit that changed only what a manifest names counts where it changed something for the experiment."""
    steps = lineage(points)
    return tuple(
        step for step in steps if step.kind is not Kind.NOTHING or (step.point.experiment, step.point.commit.id) in own
    )


@dataclass(frozen=True, slots=True)
class _Parsed:
    """One text of a manifest file."""

    experiments: tuple[Experiment, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    problem: str = ""


class _Reader:
    """Goes from commit to commit, oldest first, and holds what is declared at the moment."""

    def __init__(self, files: TreeFiles, blobs: Blobs, target: str | None, target_of: TargetOf) -> None:
        self.points: dict[str, list[Point]] = {}
        self.own: set[tuple[str, str]] = set()
        self.routes: dict[str, list[Routing]] = defaultdict(list)
        self.declared: dict[str, _Parsed] = {}
        self._files = files
        self._blobs = blobs
        self._asked = target
        self._target_of = target_of
        self._head: Head | None = None
        self._target: Target | None = None
        self._unplaced = ""
        self._key = ""
        self._parsed: dict[tuple[str, str], _Parsed] = {}
        self._users: dict[str, set[str]] = defaultdict(set)
        self._owners: dict[str, set[str]] = defaultdict(set)
        self._trained: dict[str, str] = {}
        self._after: dict[str, set[str]] = defaultdict(set)

    def go(self, visit: Visit) -> None:
        """Take over one commit."""
        self._files.go(visit.changes)
        touched = {path for path, _ in visit.changes}
        every = PROJECT in touched and self._project()
        manifests = self._manifests() if every else {path for path in touched if self._is_manifest(path)}
        read_anew = manifests | set(self.declared) if every else manifests
        concerned = read_anew | {path for place in _places(touched) for path in self._users.get(place, ())}
        if not concerned:
            return
        before = {path: self.declared.get(path, _Parsed()) for path in concerned}
        for path in read_anew:
            self._read(path, held=path in manifests)
        self._note(visit, concerned, before, touched)

    def _note(self, visit: Visit, concerned: set[str], before: dict[str, _Parsed], touched: set[str]) -> None:
        """A point for each experiment that one of the files declares, or declared before the commit."""
        now = {path: self.declared.get(path, _Parsed()) for path in concerned}
        for path in sorted(concerned):
            for item in now[path].experiments:
                self._follow(item)
        names = {(item.name, path) for path in concerned for item in now[path].experiments}
        names |= {
            (item.name, path) for path in concerned for item in before[path].experiments if item.name in self.points
        }
        left = sorted(names)
        while left:
            # Those first that go on from no other experiment: the others want to know what came of it.
            name, path = left.pop(next((at for at, (one, _) in enumerate(left) if not self._before(one)), 0))
            place = max(self._owners[name], default=path)
            if place != path and (name, place) in names:
                continue
            point = self._point(visit.commit, name, place, self.declared.get(place, _Parsed()))
            known = self.points.setdefault(name, [])
            if known and known[-1].commit is visit.commit:
                known.pop()  # it was looked at too early
            known.append(point)
            if place in touched or path in touched:
                self.own.add((name, visit.commit.id))
            trained = next((item.identity for item in point.resources if item.address.role is Role.TRAINING), "")
            if self._trained.get(name, "") != trained:
                self._trained[name] = trained
                left += [(one, max(self._owners[one])) for one in sorted(self._after[name]) if self._owners[one]]
        for path in sorted(concerned):
            for shared in now[path].endpoints:
                self._route(visit.commit, shared.name, _routes(shared))
            for gone in {item.name for item in before[path].endpoints} - {item.name for item in now[path].endpoints}:
                self._route(visit.commit, gone, ())

    def _before(self, name: str) -> str:
        """The experiment that another one goes on from; empty where there is none."""
        place = max(self._owners[name], default="")
        experiments = self.declared.get(place, _Parsed()).experiments
        return next((item.model.from_ or "" for item in experiments if item.name == name), "")

    def _route(self, commit: Commit, name: str, routes: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]) -> None:
        known = self.routes[name]
        if not known or known[-1].routes != routes:
            known.append(Routing(commit, routes))

    def _follow(self, item: Experiment) -> None:
        """An experiment that has a new name goes on with the past of the old one."""
        former = next((name for name in item.moved_from if name in self.points and not self._owners[name]), None)
        if item.name not in self.points and former is not None:
            self.points[item.name] = self.points.pop(former)

    def _point(self, commit: Commit, name: str, path: str, parsed: _Parsed) -> Point:
        if parsed.problem:
            return Point(commit, name, path, problem=parsed.problem)
        experiment = next((item for item in parsed.experiments if item.name == name), None)
        if experiment is None:
            return Point(commit, name, path)
        if self._target is None or self._head is None:
            return Point(commit, name, path, problem=self._unplaced)
        alone = experiment.model_copy(update={"moved_from": ()})
        locate = lambda _: Source(path)  # noqa: E731
        before = alone.model.from_
        known = {before: self._trained[before]} if before and self._trained.get(before) else {}
        found, problems = desired([(alone, locate)], self._head.project, self._target, self._files, known)
        problem = "" if found else next((item.message for item in problems), "it declares nothing")
        return Point(commit, name, path, tuple(map(_slim, found)), problem)

    def _read(self, path: str, *, held: bool) -> None:
        blob = self._files.blob(path) if held else ""
        for users in [self._users[place] for place in self._named(path)]:
            users.discard(path)
        for item in self.declared.get(path, _Parsed()).experiments:
            self._owners[item.name].discard(path)
        if not blob or self._head is None:
            self.declared.pop(path, None)
            return
        parsed = self._parse(path, blob)
        if parsed.problem:
            known = self.declared.get(path, _Parsed())
            # A text that says nothing readable is about what it was about before.
            parsed = replace(parsed, experiments=parsed.experiments or known.experiments)
        self.declared[path] = parsed
        for place in self._named(path):
            self._users[place].add(path)
        for item in parsed.experiments:
            self._owners[item.name].add(path)
            if item.model.from_:
                self._after[item.model.from_].add(item.name)

    def _named(self, path: str) -> Iterator[str]:
        for item in self.declared.get(path, _Parsed()).experiments:
            for place in paths_of(item):
                yield place.split("*", 1)[0].rpartition("/")[0] if "*" in place else place

    def _parse(self, path: str, blob: str) -> _Parsed:
        assert self._head is not None
        if (blob, self._key) not in self._parsed:
            loader = Loader(self._head)
            loader.text(path, self._blobs.read(blob, yaml_text.MAX_BYTES + 1))
            wrong = [
                item
                for item in loader.problems
                if item.severity is Severity.ERROR and item.rule not in _BESIDE and item.rule not in _ON_DISK
            ]
            self._parsed[blob, self._key] = _Parsed(
                tuple(item.value for item in loader.experiments),
                tuple(item.value for item in loader.endpoints),
                min(wrong, key=lambda item: item.source).message if wrong else "",
            )
        return self._parsed[blob, self._key]

    def _project(self) -> bool:
        """Read the project; whether what experiments depend on is another one than before."""
        before = (self._key, self._unplaced, self._target)
        self._head, self._target, self._unplaced = None, None, f"there is no readable {PROJECT}"
        blob = self._files.blob(PROJECT)
        if blob:
            self._head = _head(self._files.root, self._asked, self._blobs.read(blob, yaml_text.MAX_BYTES + 1))
        if self._head is not None:
            project = self._head.project
            kept = project.model_copy(update={"prices": {}})
            self._key = repr((kept, self._head.chosen))
            try:
                self._target = self._target_of(project)
            except LoraformError as error:
                self._unplaced = error.message
        return before != (self._key, self._unplaced, self._target) or self._head is None

    def _manifests(self) -> set[str]:
        return {path for path in self._files.paths() if self._is_manifest(path)}

    def _is_manifest(self, path: str) -> bool:
        patterns = self._head.project.experiments if self._head else ()
        return path != PROJECT and any(matches(path, pattern) for pattern in patterns)


def _head(root: Path, target: str | None, raw: bytes) -> Head | None:
    documents, _ = yaml_text.read(raw)
    if not documents:
        return None
    page = Page(PROJECT, documents[0], raw)
    project, _ = validated(Project, page, page.document.value, [])
    if project is None:
        return None
    chosen = target or project.default_target
    chosen = chosen if chosen in project.all_targets else LOCAL
    pins = project.requires_pins(project.all_targets[chosen])
    return Head(project, page, chosen, Surroundings(root, pins, project.policy.allow_trust_remote_code), ())


def _places(paths: set[str]) -> set[str]:
    return {*paths, *(folder for path in paths for folder in folders_of(path))}


def _routes(endpoint: Endpoint) -> tuple[tuple[str, tuple[tuple[str, int], ...]], ...]:
    return tuple((public, tuple(sorted(endpoint.routes[public].items()))) for public in sorted(endpoint.routes))


def _slim(resource: Resource) -> Resource:
    """Without what only a create needs."""
    return replace(resource, body=MappingProxyType({}), uploads=())
