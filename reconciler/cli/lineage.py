"""The lineage of one experiment: its commits, read out of git, with what each of them declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.cli.reading import Wrong, check_names, raise_project_errors
from reconciler.cli.revisions import AtRevision, read_revision
from reconciler.cli.root import PROJECT_FILE
from reconciler.cli.screen import Screen
from reconciler.core.errors import LoraformError
from reconciler.core.lineage import Commit, Kind, Point, Step, lineage
from reconciler.core.resources import Resource, Source
from reconciler.repo.commits import (
    Touched,
    commits_of_file,
    commits_of_paths,
    deleted_manifest,
    is_shallow,
    order_of,
)
from reconciler.repo.desired import desired
from reconciler.repo.files import Files
from reconciler.repo.manifests import Loaded, load
from reconciler.repo.revision import paths_of
from schemas.experiment import Experiment

_BESIDE = frozenset({"not-yet", "moved-from", "unknown-endpoint"})
"""Rules about what stands beside a manifest, or about this release: they say nothing against the text of a commit."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What one commit says of the experiment, and where else it looks."""

    point: Point
    former: str
    """The name that it had before this commit, as far as the manifest tells."""
    named: frozenset[str]


def read_lineage(root: Path, name: str, target: str | None, limit: int, here: Loaded | None = None) -> tuple[Step, ...]:
    """What each commit meant for an experiment, newest first, at most `limit` of its manifest's commits.

    Commits that changed only the project file or files that the manifest names are among them where they changed
    something for the experiment. `here` is the tree as it stands, for who has read it. Raises LoraformError for an
    unknown name and outside a git repository.
    """
    path = _path_of(root, name, here or load(root, target))
    touched = commits_of_file(root, path, limit + 1)
    if not touched:
        raise LoraformError(f"{path} is in no commit of this branch.", "Commit it: history is what git remembers.")
    reads = _read_back(root, name, target, touched)
    named = frozenset(place for read in reads for place in read.named)
    further = commits_of_paths(root, [PROJECT_FILE, *named], limit)
    points = _merged(root, target, reads, touched, further)
    own = {item.commit.id for item in touched}
    steps = [step for step in lineage(points) if step.point.commit.id in own or step.kind is not Kind.NOTHING]
    # The one beyond the limit is only there for the one after it to be compared with.
    return tuple(steps if len(touched) <= limit else steps[:-1])


def note_shallow(root: Path, screen: Screen) -> None:
    """Say it when older commits are not here, as in most pipelines: what is told is then not the whole."""
    if is_shallow(root):
        screen.note("This clone is shallow, older commits are not in it: `git fetch --unshallow` brings them.")


def _path_of(root: Path, name: str, loaded: Loaded) -> str:
    raise_project_errors(loaded)
    for item in loaded.experiments:
        if item.value.name == name:
            return item.source.path
    for item in loaded.experiments:
        if name in item.value.moved_from:
            return item.source.path
    gone = deleted_manifest(root, name)
    if gone is None:
        check_names([name], {item.name for item in loaded.experiments})
        raise LoraformError(f"There is no experiment `{name}`, and no commit of this branch deleted one.")
    return gone


def _read_back(root: Path, name: str, target: str | None, touched: Sequence[Touched]) -> list[_Read]:
    """From the newest commit back, since each may tell what the experiment was called before it."""
    reads: list[_Read] = []
    for item in touched:
        reads.append(_read(root, name, target, item.commit, "" if item.gone else item.path, item.path))
        name = reads[-1].former
    return reads


def _merged(
    root: Path, target: str | None, reads: Sequence[_Read], touched: Sequence[Touched], further: Sequence[Commit]
) -> list[Point]:
    """All points, oldest first: of the manifest's own commits, and of those that changed only what it names."""
    behind = order_of(root)
    own = {item.commit.id: (item, read) for item, read in zip(touched, reads, strict=True)}
    placed = [behind.get(commit, len(behind)) for commit in own]
    points = {behind.get(commit, len(behind)): read.point for commit, (_, read) in own.items()}
    for commit in further:
        at = behind.get(commit.id)
        older = [place for place in placed if at is not None and place > at]
        if commit.id in own or at is None or not older:
            continue
        base = points[min(older)]
        if base.resources or base.problem:
            points[at] = _read(root, base.experiment, target, commit, base.path, base.path).point
    return [points[place] for place in sorted(points, reverse=True)]


def _read(root: Path, name: str, target: str | None, commit: Commit, path: str, shown: str) -> _Read:
    """One commit. `path` is empty where the commit deleted the manifest."""
    if not path:
        return _Read(Point(commit, name, shown), name, frozenset())
    try:
        with read_revision(root, commit.id, target, strict=False, only=[path]) as at:
            return _of_revision(name, commit, path, at)
    except Wrong as wrong:
        return _Read(Point(commit, name, path, problem=wrong.diagnostics[0].message), name, frozenset())
    except LoraformError as error:
        return _Read(Point(commit, name, path, problem=error.message), name, frozenset())


def _of_revision(name: str, commit: Commit, path: str, at: AtRevision) -> _Read:
    held = [item.value for item in at.repository.loaded.experiments] if at.repository else []
    experiment = _same(name, held)
    if experiment is None:
        problem = next((item.message for item in at.diagnostics), "")
        return _Read(Point(commit, name, path, problem=problem), name, frozenset())
    resources, problem = _wanted(experiment, at)
    return _Read(
        Point(commit, experiment.name, path, resources, problem),
        (*experiment.moved_from, experiment.name)[0],
        frozenset(paths_of(experiment)),
    )


def _wanted(experiment: Experiment, at: AtRevision) -> tuple[tuple[Resource, ...], str]:
    """The resources, or why there are none. What it was called before decides nothing about what it is."""
    assert at.repository is not None
    wrong = next((item.message for item in at.diagnostics if item.rule not in _BESIDE), "")
    if wrong:
        return (), wrong
    repository, path = at.repository, at.revision.root
    alone = experiment.model_copy(update={"moved_from": ()})
    found, problems = desired(
        [(alone, lambda _: Source(experiment.name))], repository.loaded.project, repository.target, Files(path)
    )
    return found, "" if found else next((item.message for item in problems), "it declares nothing")


def _same(name: str, held: Sequence[Experiment]) -> Experiment | None:
    """The experiment of that name, or that had it once; else the only one in the file, renamed without a word."""
    named = [item for item in held if item.name == name] or [item for item in held if name in item.moved_from]
    return named[0] if named else held[0] if len(held) == 1 else None
