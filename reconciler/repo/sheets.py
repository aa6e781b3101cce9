"""What one manifest says, small enough to pass between processes and to keep between plans.

A sheet is made by the ordinary way of reading, from a file with one experiment and no error. It stands for that
reading as long as the file, the project, the target and all that the manifest names are the same. What only an action
needs (bodies, declared fields) is not on it: the manifest is read again when somebody looks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

from reconciler.core.errors import Diagnostic, Severity
from reconciler.core.resources import Resource, Source
from reconciler.core.target import Target
from reconciler.repo.desired import desired
from reconciler.repo.files import Files
from reconciler.repo.inputs import Named, facts_of, named
from reconciler.repo.manifests import Head, Loader, head_of
from reconciler.repo.yaml_nodes import Plain
from schemas.experiment import Experiment

What = Literal["fields", "body"]
Again = Callable[[str], tuple[Resource, ...]]
"""A manifest's path -> its resources, read in the ordinary way."""


class Recalled(Mapping[str, Any]):
    """The `fields` or the `body` of a resource, read again from its manifest when somebody looks into it."""

    __slots__ = ("_again", "_index", "_known", "_path", "_what")

    def __init__(self, path: str, index: int, what: What, again: Again | None = None) -> None:
        self._path = path
        self._index = index
        self._what: What = what
        self._again = again
        self._known: Mapping[str, Any] | None = None

    def __reduce__(self) -> tuple[type[Recalled], tuple[str, int, What]]:
        return Recalled, (self._path, self._index, self._what)

    def __getitem__(self, key: str) -> Any:
        return self._mapping()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._mapping())

    def __len__(self) -> int:
        return len(self._mapping())

    def _mapping(self) -> Mapping[str, Any]:
        if self._known is None:
            assert self._again is not None, "a sheet is looked into where it can be read again"
            self._known = cast("Mapping[str, Any]", getattr(self._again(self._path)[self._index], self._what))
        return self._known


@dataclass(frozen=True, slots=True)
class Sheet:
    """One manifest. `content` is the SHA-256 of its file, `facts` the hash of what its paths held (`inputs`)."""

    content: bytes
    named: tuple[Named, ...]
    facts: str
    name: str
    """Of the experiment."""
    source: Source
    alone: bool
    """No rule between manifests is about it, but that names are unique."""
    found: tuple[Diagnostic, ...]
    """Of the manifest by itself; warnings only."""
    problems: tuple[Diagnostic, ...]
    """Of what it wants on the target; warnings only."""
    resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class Reader:
    """The ordinary way of reading one manifest for one target."""

    head: Head
    target: Target
    files: Files
    facts: dict[Named, str] = field(default_factory=dict)
    """What is known of all that manifests name."""
    scalars: dict[str, Plain] = field(default_factory=dict)

    @classmethod
    def at(cls, root: Path, name: str | None, target: Target, memory: Path | None, largest: int) -> Reader:
        """A reader for a process of its own: knows the hashes in `memory`, hashes nothing above `largest` bytes."""
        return cls(head_of(root, name), target, Files(root, memory, largest=largest))

    def sheet(self, path: str, raw: bytes) -> Sheet | None:
        """The sheet of a file; None where there is more to say than a sheet holds."""
        loader, resources, problems = self._read(path, raw)
        if len(loader.experiments) != 1 or loader.endpoints or _wrong((*loader.problems, *problems)):
            return None
        (item,) = loader.experiments
        experiment = item.value
        facts = self.facts_of(named(experiment))
        if facts is None:
            return None
        return Sheet(
            content_of(raw),
            named(experiment),
            facts,
            experiment.name,
            item.source,
            stands_alone(experiment),
            tuple(loader.problems),
            tuple(problems),
            tuple(_slim(resource, path, index) for index, resource in enumerate(resources)),
        )

    def facts_of(self, every: tuple[Named, ...]) -> str | None:
        """The hash of what a manifest names; None where something of it cannot be read."""
        return facts_of(every, self.target, self.files, self.facts)

    def again(self, path: str, raw: bytes) -> tuple[Resource, ...]:
        """All of the resources that a file declares."""
        return self._read(path, raw)[1]

    def experiment(self, path: str, raw: bytes) -> Experiment:
        """The one experiment of a file of which there is a sheet."""
        return self._loaded(path, raw).experiments[0].value

    def _read(self, path: str, raw: bytes) -> tuple[Loader, tuple[Resource, ...], tuple[Diagnostic, ...]]:
        loader = self._loaded(path, raw)
        found = [(item.value, item.locate) for item in loader.experiments]
        return loader, *desired(found, self.head.project, self.target, self.files)

    def _loaded(self, path: str, raw: bytes) -> Loader:
        loader = Loader(self.head, self.scalars)
        loader.text(path, raw)
        return loader


def content_of(raw: bytes) -> bytes:
    """What tells one text of a manifest from another."""
    return hashlib.sha256(raw).digest()


def stands_alone(experiment: Experiment) -> bool:
    """It joins no shared endpoint, goes on from no other experiment, and has never had another name."""
    joins = experiment.serving is not None and experiment.serving.endpoint is not None
    return not joins and not experiment.moved_from and experiment.model.from_ is None


def _slim(resource: Resource, path: str, index: int) -> Resource:
    return replace(resource, fields=Recalled(path, index, "fields"), body=Recalled(path, index, "body"))


def _wrong(diagnostics: tuple[Diagnostic, ...]) -> bool:
    return any(item.severity is Severity.ERROR for item in diagnostics)
