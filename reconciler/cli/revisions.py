"""The repository as it was at a commit, read the way that every verb reads the working tree."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.cli.reading import Repository, Wrong, read_repository
from reconciler.cli.root import PROJECT_FILE
from reconciler.core.errors import Diagnostic, Severity
from reconciler.core.resources import Resource, Source
from reconciler.repo.manifests import load
from reconciler.repo.revision import Revision, open_revision

SHOWN = 7
"""Hex digits of a commit that are shown."""


@dataclass(frozen=True, slots=True)
class AtRevision:
    """What a commit's manifests want. `repository` is None where the commit has no project file."""

    revision: Revision
    repository: Repository | None
    diagnostics: tuple[Diagnostic, ...]
    """Placed as git names a file of a commit: `REVISION:path`."""

    @property
    def desired(self) -> tuple[Resource, ...]:
        """The resources that the commit's manifests want."""
        return self.repository.desired if self.repository else ()

    @property
    def short(self) -> str:
        """The commit in a few digits."""
        return self.revision.commit[:SHOWN]


@contextmanager
def read_revision(
    root: Path, name: str, target: str | None, *, strict: bool, only: Collection[str] | None = None
) -> Iterator[AtRevision]:
    """The manifests of a commit, or `only` those in some files, while the `with` block lasts. Asks git and disk only.

    Errors in them raise `Wrong` if `strict`; else what has an error is taken as absent, and only errors are told of, as
    warnings.
    """
    with open_revision(root, name) as revision:
        if only is None:
            revision.write_manifests()
        else:
            revision.write([PROJECT_FILE, *only])
        if PROJECT_FILE not in revision.files:
            if strict:
                raise Wrong([_absent(revision)])
            yield AtRevision(revision, None, (replace(_absent(revision), severity=Severity.WARNING),))
            return
        revision.write_named(item.value for item in load(revision.root, target).experiments)
        try:
            repository = read_repository(revision.root, target, must_run=False, remember=False)
        except Wrong as wrong:
            raise Wrong([_placed(item, name) for item in wrong.diagnostics]) from wrong
        found = tuple(_placed(item, name) for item in repository.diagnostics)
        errors = tuple(item for item in found if item.severity is Severity.ERROR)
        if errors and strict:
            raise Wrong(found)
        left_out = tuple(replace(item, severity=Severity.WARNING) for item in errors)
        yield AtRevision(revision, repository, found if strict else left_out)


def _placed(item: Diagnostic, name: str) -> Diagnostic:
    return replace(item, source=replace(item.source, path=f"{name}:{item.source.path}"))


def _absent(revision: Revision) -> Diagnostic:
    message = f"this commit has no {PROJECT_FILE}: it declares nothing"
    return Diagnostic(Source(f"{revision.name}:{PROJECT_FILE}"), "no-project", message)
