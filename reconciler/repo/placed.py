"""Where things stand: a manifest with its place, and the page it is read from while a load lasts.

Nodes of YAML are large. A page keeps them only until its document is checked; a placed manifest keeps the text and
reads it again in the rare case that somebody asks for a place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from reconciler.core.errors import Diagnostic, Severity
from reconciler.core.resources import Source
from reconciler.repo import yaml_text
from reconciler.repo.yaml_nodes import Problem
from reconciler.repo.yaml_text import Document
from schemas.effects import Manifest
from schemas.finding import Finding

Steps = tuple[str | int, ...]
M_co = TypeVar("M_co", bound=Manifest, covariant=True)
M = TypeVar("M", bound=Manifest)


class Recall(Generic[M_co]):
    """A manifest that was checked before, and is read again only when somebody wants more than its name."""

    __slots__ = ("_known", "_read")

    def __init__(self, read: Callable[[], M_co]) -> None:
        self._read = read
        self._known: M_co | None = None

    def value(self) -> M_co:
        """The manifest."""
        if self._known is None:
            self._known = self._read()
        return self._known


@dataclass(frozen=True, slots=True)
class Placed(Generic[M_co]):
    """A manifest and where it stands. It keeps the text, so that any field can be found again when it is needed."""

    held: M_co | Recall[M_co]
    source: Source
    raw: bytes = b""
    index: int = 0
    """Which document of the file."""
    name: str = ""
    """The experiment's or endpoint's."""
    alone: bool = False
    """No rule between manifests is about it, but that names are unique."""

    @property
    def value(self) -> M_co:
        """The manifest itself; one that is only remembered is read again, once."""
        return self.held.value() if isinstance(self.held, Recall) else self.held

    def at(self, *path: str | int, key: bool = False) -> Source:
        """Where the value (or key) at `path` stands; the deepest part of the path that the file has."""
        return page_of(self).source(path, key=key) if path else self.source

    def locate(self, path: str) -> Source:
        """Where a dotted path of `declared_fields` stands (`adapter.r`); the manifest itself for an empty path.

        Maps with the user's own keys are leaves there, so that no step of such a path holds a dot.
        """
        return self.at(*(int(step) if step.isdigit() else step for step in path.split("."))) if path else self.source


@dataclass(frozen=True, slots=True)
class Page:
    """One document of one file. `defaults` is the project's page: a path that only its defaults have stands there."""

    name: str
    """The file, relative to the root, with forward slashes."""
    document: Document
    raw: bytes = b""
    index: int = 0
    defaults: Page | None = None

    def source(self, path: Steps = (), *, key: bool = False) -> Source:
        """Where the value (or key) at a path stands."""
        spot, depth = self.document.find(path, key=key)
        if self.defaults is not None and depth < len(path):
            other, deeper = self.defaults.document.find(("defaults", *path), key=key)
            if deeper - 1 > depth:
                return Source(self.defaults.name, *other)
        return Source(self.name, *spot)

    def placed(self, manifest: M) -> Placed[M]:
        """The manifest that this page declares."""
        name = str(getattr(manifest, "name", ""))
        return Placed(manifest, Source(self.name, *self.document.spot), self.raw, self.index, name)

    def diagnostics(self, findings: Iterable[Finding], cut: frozenset[Steps] = frozenset()) -> list[Diagnostic]:
        """Findings with their places, but for those that only say that something in `cut` is absent."""
        return [
            Diagnostic(
                self.source(finding.path),
                finding.rule,
                finding.message,
                finding.remedy,
                Severity.WARNING if finding.warning else Severity.ERROR,
            )
            for finding in findings
            if not finding.absent or finding.absent not in cut
        ]

    def problems(self) -> list[Diagnostic]:
        """What is wrong with the text of this document."""
        return [of_problem(self.name, problem) for problem in self.document.problems]


def page_of(placed: Placed[Any], defaults: Page | None = None) -> Page:
    """The page of a manifest, read again."""
    documents, _ = yaml_text.read(placed.raw)
    document = documents[placed.index] if placed.index < len(documents) else Document(None)
    return Page(placed.source.path, document, placed.raw, placed.index, defaults)


def of_problem(name: str, problem: Problem) -> Diagnostic:
    """A problem of a text as a diagnostic of its file."""
    return Diagnostic(Source(name, *problem.spot), problem.rule, problem.message, problem.remedy)
