"""The repository as a verb needs it: its manifests, what they want on a target, and everything that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from reconciler.cli.root import PROJECT_FILE
from reconciler.cli.target import target_of
from reconciler.core.errors import Diagnostic, LoraformError, Severity
from reconciler.core.resources import Resource, Role
from reconciler.core.target import Target
from reconciler.repo.checks import FROM
from reconciler.repo.desired import desired
from reconciler.repo.files import Files
from reconciler.repo.manifest_files import manifest_files
from reconciler.repo.manifests import Known, Loaded, combined, head_of, load, loaded
from reconciler.repo.many import sheets_of
from reconciler.repo.sheet_files import FOLDER
from reconciler.repo.sheets import Reader

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


def read_repository(
    root: Path,
    target: str | None,
    *,
    must_run: bool = True,
    remember: bool = True,
    begun: Callable[[Target], None] = lambda _: None,
) -> Repository:
    """Read the manifests and compute what they want. Raises `Wrong` for an unreadable project file only.

    Of many manifests what they say is remembered for the next time, unless `remember` is False. `begun` is called with
    the target as soon as something else can be done meanwhile.
    """
    head = head_of(root, target)
    if any(item.severity is Severity.ERROR for item in head.problems):
        raise Wrong(load(root, target).diagnostics)
    destination = target_of(head.project, target, root, must_run=must_run)
    files = Files(root, root / HASHES)
    reader = Reader(head, destination, files)
    paths, ignored = manifest_files(root, head.project.experiments)
    kept = sheets_of(reader, target, paths, root / FOLDER if remember else None, lambda: begun(destination))
    known = {path: Known(one.placed, one.sheet.found) for path, one in kept.items()}
    read = loaded(head, paths, ignored, known)
    raise_project_errors(read)
    others = [(item.value, item.locate) for item in read.experiments if item.source.path not in kept]
    trained = {
        resource.address.experiment: resource.identity
        for one in kept.values()
        for resource in one.sheet.resources
        if resource.address.role is Role.TRAINING
    }
    resources, problems = desired(others, head.project, destination, files, trained)
    # Why there is nothing to go on from is better said by the rules between manifests.
    said = {(item.source, item.rule) for item in read.diagnostics}
    problems = tuple(item for item in problems if item.rule != FROM or (item.source, item.rule) not in said)
    files.save()
    everything = [*resources, *(resource for one in kept.values() for resource in one.sheet.resources)]
    everything.sort(key=lambda resource: resource.address.experiment)
    problems = (*problems, *(problem for one in kept.values() for problem in one.sheet.problems))
    return Repository(read, destination, tuple(everything), combined(problems, read.diagnostics))


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
