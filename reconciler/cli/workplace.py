"""What a verb works on: the repository as it was read, the target's connections, and what git wants there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.cli.differing import differing
from reconciler.cli.reading import Repository, Wrong, check_names, raise_project_errors, read_repository
from reconciler.cli.revisions import AtRevision, read_revision
from reconciler.cli.root import find_root
from reconciler.cli.target import target_of
from reconciler.cloud.accepted import read_accepted
from reconciler.cloud.reconcile import Wish
from reconciler.cloud.site import PARALLELISM, Site, open_site
from reconciler.cloud.snapshot import Listing, begin_listing
from reconciler.core.errors import Diagnostic, LoraformError, Refused, Severity
from reconciler.core.guardrails import Limits
from reconciler.core.resources import Source
from reconciler.core.target import Target
from reconciler.repo.commits import is_shallow
from reconciler.repo.history import History, base_of, commit_of, read_history
from reconciler.repo.manifests import load
from schemas.project import Project


@dataclass(frozen=True, slots=True)
class Workplace:
    """A repository and a target, ready for a pass."""

    root: Path
    site: Site
    wish: Wish
    history: History
    names: frozenset[str]
    """The experiments that git has."""
    repository: Repository
    """What was read, for comparisons with other commits."""
    scheduled: bool = False
    """It is the accepted commit that is applied again, not the working tree: nothing is to be accepted."""
    listing: Listing | None = None
    """A look at the target that has begun."""

    @property
    def where(self) -> str:
        """Which tree this is, such as `main@4be21d`; a `+` after it when the tree differs from the commit."""
        head = self.history.head
        if self.scheduled and head:
            return f"accepted@{head[:6]}"
        if head is None:
            return ""
        return f"{self.history.branch or 'detached'}@{head[:6]}{'+' * bool(self.history.dirty)}"


def open_workplace(
    target: str | None = None,
    names: Sequence[str] | None = None,
    *,
    allow_delete: Collection[str] = (),
    allow_runs: int = 0,
    allow_rolls: int = 0,
    parallelism: int = PARALLELISM,
    ahead: bool = False,
) -> Workplace:
    """Read the repository, connect to the target, and compute what git wants there.

    `names` selects experiments; an apply carries out `parallelism` changes at a time. With `ahead` the target is listed
    while the manifests are read, for whoever looks once and at once. Raises `Wrong` when the manifests have errors,
    Refused when there is none at all.
    """
    root = find_root()
    begun: list[tuple[Site, Listing]] = []

    def begin(destination: Target) -> None:
        site = open_site(destination, root, parallelism=parallelism)
        begun.append((site, begin_listing(site.vertex, site.storage, destination, site.workers)))

    repository = read_repository(root, target, begun=begin if ahead else lambda _: None)
    if any(item.severity is Severity.ERROR for item in repository.diagnostics):
        raise Wrong(repository.diagnostics)
    loaded, destination = repository.loaded, repository.target
    experiments = frozenset(item.name for item in loaded.experiments)
    if not experiments:
        raise Refused(
            "There is no experiment in this repository: to plan on that would be to remove everything.",
            "Write one under experiments/, or take one off its target with `loraform destroy NAME`.",
        )
    check_names(names or (), experiments)
    history = read_history(root)
    base = None if destination.local else base_of(history)
    wish = Wish(
        desired=repository.desired,
        commit=history.head or "",
        only=frozenset(names) if names else None,
        limits=_limits(loaded.project, allow_delete, allow_runs, allow_rolls),
        diagnostics=(*repository.diagnostics, *_of_shallow(root, history, base, destination)),
        about=differing(root, repository, base, target) if base else None,
    )
    site, listing = begun[0] if begun else (open_site(destination, root, parallelism=parallelism), None)
    return Workplace(root, site, wish, history, experiments, repository, listing=listing)


@contextmanager
def open_accepted(
    target: str | None = None, names: Sequence[str] | None = None, *, parallelism: int = PARALLELISM
) -> Iterator[Workplace]:
    """What was accepted for a cloud target, for as long as the `with` block lasts: the working tree does not count.

    Raises Refused for the local target, LoraformError before anything was accepted, `Wrong` when the commit has errors.
    """
    root = find_root()
    site = connect_only(target, parallelism=parallelism)
    if site.target.local:
        raise Refused(f"{site.target.name} takes the working tree as it is: no commit is accepted there.")
    with read_accepted_revision(root, site, target) as at:
        assert at.repository is not None
        loaded = at.repository.loaded
        experiments = frozenset(item.name for item in loaded.experiments)
        if not experiments:
            raise Refused(f"The accepted commit {at.short} has no experiment: that would be to remove everything.")
        check_names(names or (), experiments)
        wish = Wish(
            desired=at.desired,
            commit=at.revision.commit,
            only=frozenset(names) if names else None,
            limits=_limits(loaded.project, (), 0, 0),
            diagnostics=at.diagnostics,
        )
        history = History(root=root, head=at.revision.commit)
        here = replace(site, root=at.revision.root)
        yield Workplace(root, here, wish, history, experiments, at.repository, scheduled=True)


def connect_only(target: str | None = None, *, parallelism: int = PARALLELISM) -> Site:
    """The target's connections, for verbs about live things: errors in manifests are no obstacle to them."""
    return connect_with_project(target, parallelism=parallelism)[0]


def connect_with_project(target: str | None = None, *, parallelism: int = PARALLELISM) -> tuple[Site, Project]:
    """The same with the project file."""
    root = find_root()
    loaded = load(root, target)
    raise_project_errors(loaded)
    return open_site(target_of(loaded.project, target, root), root, parallelism=parallelism), loaded.project


@contextmanager
def read_accepted_revision(root: Path, site: Site, target: str | None) -> Iterator[AtRevision]:
    """The manifests of a target's accepted commit. Raises LoraformError without one, `Wrong` when it has errors."""
    accepted = read_accepted(site.storage, site.target)
    if accepted is None:
        raise LoraformError(f"Nothing was accepted on {site.target.name} yet.", "`loraform apply` accepts a commit.")
    if commit_of(root, accepted.commit) is None:
        raise LoraformError(f"The accepted commit {accepted.commit[:12]} is not in this clone.", "Run `git fetch`.")
    with read_revision(root, accepted.commit, target, strict=True) as at:
        yield at


def _of_shallow(root: Path, history: History, base: str | None, target: Target) -> tuple[Diagnostic, ...]:
    if base or target.local or history.head is None or not is_shallow(root):
        return ()
    message = "this clone is shallow, so the plan's id tells of all experiments and not only of those that changed"
    return (Diagnostic(Source("loraform.yaml"), "shallow-clone", message, "Fetch with its history.", Severity.WARNING),)


def _limits(project: Project, allow_delete: Collection[str], allow_runs: int, allow_rolls: int) -> Limits:
    policy = project.policy
    return Limits(
        new_runs=policy.max_new_runs,
        new_accelerators=policy.max_new_gpus,
        deletes=policy.max_deletes,
        delete_share=policy.max_delete_percent / 100,
        roll_share=policy.max_roll_percent / 100,
        allow_runs=allow_runs,
        allow_rolls=allow_rolls,
        allow_delete=frozenset(allow_delete),
    )
