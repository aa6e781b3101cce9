"""The repository as a verb needs it: its manifests, what they want on a target, and everything that is wrong."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from reconciler.cli.root import PROJECT_FILE
from reconciler.cli.target import target_of
from reconciler.core.errors import Diagnostic, LoraformError, Severity
from reconciler.core.resources import Resource, Source
from reconciler.core.target import Target
from reconciler.repo.desired import desired
from reconciler.repo.files import Files
from reconciler.repo.manifests import Loaded, Placed, combined, load
from schemas.experiment import Experiment

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
    raise_project_errors(loaded)
    destination = target_of(loaded.project, target, root, must_run=must_run)
    files = Files(root, root / HASHES)
    resources, problems = desired(
        [(item.value, partial(_locate, item)) for item in loaded.experiments], loaded.project, destination, files
    )
    files.save()
    return Repository(loaded, destination, resources, combined(problems, loaded.diagnostics))


def check_names(names: Collection[str], known: Collection[str]) -> None:
    """Raise LoraformError for a name that is no experiment, with the nearest one that is."""
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            remedy = f"Did you mean `{near[0]}`?" if near else f"There is {', '.join(sorted(known)) or 'none'}."
            raise LoraformError(f"There is no experiment `{name}`.", remedy)


def raise_project_errors(loaded: Loaded) -> None:
    """Raise `Wrong` without a readable project file: without one, nobody can tell whose things are looked at."""
    if any(item.source.path == PROJECT_FILE for item in loaded.errors):
        raise Wrong(loaded.diagnostics)


def _locate(item: Placed[Experiment], path: str) -> Source:
    return item.at(*path.split(".")) if path else item.source
