"""Which experiments a tree wants otherwise than a commit did: what a pull request is about, and a plan's id tells of.

Only the manifests that git says have changed are read at the commit, unless a change may concern all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from reconciler.cli.reading import Repository
from reconciler.cli.revisions import read_revision
from reconciler.cli.root import PROJECT_FILE
from reconciler.core.resources import Address, Resource, Source
from reconciler.repo.history import changed_paths, paths_between


def differing(root: Path, repository: Repository, base: str, target: str | None) -> frozenset[str]:
    """The experiments whose desired resources differ between the commit `base` and the repository as it was read.

    What has an error at `base` counts as absent there. Raises LoraformError when git cannot read the commit.
    """
    changed = changed_paths(root, base)
    held = {item.source.path for item in repository.loaded.experiments}
    manifests = [path for path in changed if path in held or path.endswith((".yaml", ".yml"))]
    if not manifests and not _concerns_files(changed, repository.desired):
        return frozenset()
    whole = PROJECT_FILE in changed or _concerns_files(changed, repository.desired)
    with read_revision(root, base, target, strict=False, only=None if whole else manifests) as at:
        before = _wanted(at.desired)
    names = {item.value.name for item in repository.loaded.experiments if whole or item.source.path in manifests}
    now = _wanted(item for item in repository.desired if item.address.experiment in names)
    return frozenset(name for name in {*before, *now} if before.get(name) != now.get(name))


def differing_between(root: Path, before: str, after: str, target: str | None) -> frozenset[str]:
    """The same for two commits. What has an error in one of them counts as absent there."""
    if not paths_between(root, before, after):
        return frozenset()
    with (
        read_revision(root, before, target, strict=False) as old,
        read_revision(root, after, target, strict=False) as new,
    ):
        was, is_ = _wanted(old.desired), _wanted(new.desired)
    return frozenset(name for name in {*was, *is_} if was.get(name) != is_.get(name))


def _concerns_files(changed: Iterable[str], desired: Iterable[Resource]) -> bool:
    """Whether a changed path may be, or have been, one of the files that experiments name: it lies among them."""
    folders = {folder for item in desired for upload in item.uploads for folder in _folders(upload.path)}
    uploads = {upload.path for item in desired for upload in item.uploads}
    return any(
        path in uploads or not folders.isdisjoint(_folders(path))
        for path in changed
        if not path.endswith((".yaml", ".yml"))
    )


def _folders(path: str) -> Collection[str]:
    return [str(folder) for folder in PurePosixPath(path).parents if str(folder) != "."]


def _wanted(desired: Iterable[Resource]) -> Mapping[str, Mapping[Address, Resource]]:
    """By experiment and address. Where something is declared makes no difference."""
    found: dict[str, dict[Address, Resource]] = defaultdict(dict)
    for resource in desired:
        found[resource.address.experiment][resource.address] = replace(resource, source=Source(""))
    return found
