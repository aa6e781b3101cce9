"""What a verb works on: the repository as it was read, the target's connections, and what git wants there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from reconciler.cli.root import find_root
from reconciler.cli.target import target_of
from reconciler.cloud.reconcile import Wish
from reconciler.cloud.site import Site, open_site
from reconciler.core.errors import Diagnostic, LoraformError, Refused, Severity
from reconciler.core.guardrails import Limits
from reconciler.core.resources import Resource, Source
from reconciler.core.target import Target
from reconciler.repo.desired import desired
from reconciler.repo.files import Files
from reconciler.repo.history import History, read_history
from reconciler.repo.manifests import Loaded, Placed, load
from schemas.experiment import Experiment
from schemas.project import Project

HASHES = Path(".loraform/hashes.json")
"""Remembers the hashes of large files, so that a plan does not read them again."""


class Wrong(LoraformError):
    """The manifests have errors; `diagnostics` has all of them, the warnings too."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        """The message counts the errors."""
        errors = sum(item.severity is Severity.ERROR for item in diagnostics)
        super().__init__(f"{errors} error{'s' * (errors != 1)} in the manifests; nothing was planned.")
        self.diagnostics = tuple(diagnostics)


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


@dataclass(frozen=True, slots=True)
class Repository:
    """What the repository says for one target."""

    loaded: Loaded
    target: Target
    desired: tuple[Resource, ...]
    diagnostics: tuple[Diagnostic, ...]
    """Of the manifests, and of what they name."""


def read_repository(root: Path, target: str | None, *, must_run: bool = True) -> Repository:
    """Read the manifests and compute what they want. Raises `Wrong` for an unreadable project file only."""
    loaded = load(root, target)
    _raise_project_errors(loaded)
    destination = target_of(loaded.project, target, root, must_run=must_run)
    files = Files(root, root / HASHES)
    resources, problems = desired(
        [(item.value, partial(_locate, item)) for item in loaded.experiments], loaded.project, destination, files
    )
    files.save()
    return Repository(loaded, destination, resources, (*loaded.diagnostics, *problems))


def open_workplace(
    target: str | None = None,
    names: Sequence[str] | None = None,
    *,
    allow_delete: Collection[str] = (),
    allow_runs: int = 0,
) -> Workplace:
    """Read the repository, connect to the target, and compute what git wants there.

    `names` selects experiments. Raises `Wrong` when the manifests have errors, Refused when there is none at all.
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
        limits=_limits(loaded.project, allow_delete, allow_runs),
        diagnostics=repository.diagnostics,
    )
    return Workplace(root, open_site(destination, root), wish, history, experiments)


def connect_only(target: str | None = None) -> Site:
    """The target's connections, for verbs about live things: errors in manifests are no obstacle to them."""
    root = find_root()
    loaded = load(root, target)
    _raise_project_errors(loaded)
    return open_site(target_of(loaded.project, target, root), root)


def check_names(names: Collection[str], known: Collection[str]) -> None:
    """Raise LoraformError for a name that is no experiment, with the nearest one that is."""
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            remedy = f"Did you mean `{near[0]}`?" if near else f"There is {', '.join(sorted(known)) or 'none'}."
            raise LoraformError(f"There is no experiment `{name}`.", remedy)


def _raise_project_errors(loaded: Loaded) -> None:
    """Without a readable project file nobody can tell whose things are looked at."""
    wrong = [item for item in loaded.errors if item.source.path == "loraform.yaml"]
    if wrong:
        raise Wrong(wrong)


def _locate(item: Placed[Experiment], path: str) -> Source:
    return item.at(*path.split(".")) if path else item.source


def _limits(project: Project, allow_delete: Collection[str], allow_runs: int) -> Limits:
    policy = project.policy
    return Limits(
        new_runs=policy.max_new_runs,
        deletes=policy.max_deletes,
        delete_share=policy.max_delete_percent / 100,
        allow_runs=allow_runs,
        allow_delete=frozenset(allow_delete),
    )
