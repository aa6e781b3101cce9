"""What `loraform prune` decides from: the bucket and the registry, what is live, and what the last commits name."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from reconciler.cli.lineage import read_lineage
from reconciler.cli.screen import Screen
from reconciler.cli.workplace import Workplace
from reconciler.cloud.pruning import Store, holders, read_store, told
from reconciler.cloud.snapshot import take_snapshot
from reconciler.core.errors import LoraformError, Refused
from reconciler.core.lineage import Kind, Step
from reconciler.core.resources import RUNS
from reconciler.core.retention import COMMITS, Keep, Pruning, Stored, pruning
from reconciler.repo.commits import deleted_names, is_shallow, subject_of
from reconciler.repo.manifests import load

READERS = 8
"""Manifests whose commits are read at a time."""


@dataclass(slots=True)
class Named:
    """What git holds on to: stamps of runs, and experiments of which nobody can say. Read once, when it is needed."""

    stamps: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)
    read: bool = False


@dataclass(frozen=True, slots=True)
class Retained:
    """What would go, what stays, and what the records of the former tell: identity -> (commit, its subject)."""

    pruning: Pruning
    past: dict[str, tuple[str, str]]
    store: Store


def may_look(workplace: Workplace) -> None:
    """Raise Refused where git cannot say what the last commits name."""
    if workplace.history.head is None:
        raise Refused("Without git nobody can say what the last commits name.", "Commit first.")
    if is_shallow(workplace.root):
        raise Refused("This clone is shallow: what older commits name is not in it.", "`git fetch --unshallow` first.")


def retained(workplace: Workplace, target: str | None, names: Collection[str], git: Named, screen: Screen) -> Retained:
    """Look at everything. Git is asked only when something could go otherwise, and only once for one `git`."""
    site, desired = workplace.site, workplace.wish.desired
    snapshot = take_snapshot(site.vertex, site.storage, site.target, desired, site.workers)
    store = read_store(site, snapshot)
    held: dict[Keep, Collection[str]] = dict(holders(snapshot, store))
    held[Keep.NAMED] = {item.stamp for item in desired if item.address.role in RUNS}
    held[Keep.PROTECTED] = {*held[Keep.PROTECTED], *(item.address.experiment for item in desired if item.protect)}
    first = pruning(store.stored, held)
    if first.prunable:
        if not git.read:
            _read_commits(workplace, target, {item.experiment for item in store.stored}, git, screen)
        held[Keep.NAMED] = {*held[Keep.NAMED], *git.stamps}
        held[Keep.UNREADABLE] = git.unreadable
    found = pruning(store.stored, held)
    if names:
        found = Pruning(
            tuple(item for item in found.prunable if item.experiment in names),
            tuple(item for item in found.unfinished if item.experiment in names),
            tuple(item for item in found.kept if item.stored.experiment in names),
        )
    past: dict[str, tuple[str, str]] = {}
    prunable: list[Stored] = []
    for item in found.prunable:
        commit, seconds = told(site, item)
        past[item.identity] = (commit, subject_of(workplace.root, commit) if commit else "")
        prunable.append(replace(item, seconds=seconds))
    return Retained(replace(found, prunable=tuple(prunable)), past, store)


def _read_commits(
    workplace: Workplace, target: str | None, further: Collection[str], git: Named, screen: Screen
) -> None:
    """Equal experiments share runs, so every manifest is asked; `further` are names whose manifest may be gone."""
    names = sorted({*workplace.names, *further, *deleted_names(workplace.root)} - {""})
    here = load(workplace.root, target)

    def read(name: str) -> tuple[Step, ...]:
        try:
            return read_lineage(workplace.root, name, target, COMMITS, here)
        except LoraformError:
            return ()  # in no commit of this branch, so none names it; what the tree wants is known anyway

    # Most of the time goes by in processes of git: several at a time.
    with ThreadPoolExecutor(READERS) as pool:
        for number, (name, steps) in enumerate(zip(names, pool.map(read, names), strict=True), start=1):
            screen.meanwhile(f"Reading the last {COMMITS} commits of each manifest, {number} of {len(names)}")
            git.stamps |= {step.stamp(role) for step in steps for role in RUNS} - {""}
            if any(step.kind is Kind.UNREADABLE for step in steps):
                git.unreadable |= {name, *(step.point.experiment for step in steps)}
    git.read = True
