"""What a verb works on: the repository as it was read, the target's connections, and what git wants there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.cli.reading import Wrong, check_names, raise_project_errors, read_repository
from reconciler.cli.root import find_root
from reconciler.cli.target import target_of
from reconciler.cloud.reconcile import Wish
from reconciler.cloud.site import PARALLELISM, Site, open_site
from reconciler.core.errors import Refused, Severity
from reconciler.core.guardrails import Limits
from reconciler.repo.history import History, read_history
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

    @property
    def where(self) -> str:
        """Which tree this is, such as `main@4be21d`; a `+` after it when the tree differs from the commit."""
        head = self.history.head
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
) -> Workplace:
    """Read the repository, connect to the target, and compute what git wants there.

    `names` selects experiments; an apply carries out `parallelism` changes at a time. Raises `Wrong` when the manifests
    have errors, Refused when there is none at all.
    """
    root = find_root()
    repository = read_repository(root, target)
    if any(item.severity is Severity.ERROR for item in repository.diagnostics):
        raise Wrong(repository.diagnostics)
    loaded, destination = repository.loaded, repository.target
    experiments = frozenset(item.value.name for item in loaded.experiments)
    if not experiments:
        raise Refused(
            "There is no experiment in this repository: to plan on that would be to remove everything.",
            "Write one under experiments/, or take one off its target with `loraform destroy NAME`.",
        )
    check_names(names or (), experiments)
    history = read_history(root)
    wish = Wish(
        desired=repository.desired,
        commit=history.head or "",
        only=frozenset(names) if names else None,
        limits=_limits(loaded.project, allow_delete, allow_runs, allow_rolls),
        diagnostics=repository.diagnostics,
    )
    return Workplace(root, open_site(destination, root, parallelism=parallelism), wish, history, experiments)


def connect_only(target: str | None = None) -> Site:
    """The target's connections, for verbs about live things: errors in manifests are no obstacle to them."""
    root = find_root()
    loaded = load(root, target)
    raise_project_errors(loaded)
    return open_site(target_of(loaded.project, target, root), root)


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
