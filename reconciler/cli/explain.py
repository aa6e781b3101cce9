"""`loraform explain`: why something of an experiment failed, what its log says, and the patch that mends it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options
from reconciler.cli.screen import Screen
from reconciler.core.changes import Action, Change
from reconciler.core.errors import CloudError, LoraformError
from reconciler.core.resources import LiveResource, Resource

if TYPE_CHECKING:
    from reconciler.cli.workplace import Workplace
    from reconciler.cloud.reconcile import Pass
    from reconciler.render.explain import Explained
    from reconciler.repo.patches import Patch

PATCH = typer.Option("--patch", help="Print nothing but the patch: loraform explain NAME --patch | git apply")


def run(
    name: Annotated[str, options.NAME],
    patch: Annotated[bool, PATCH] = False,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """Say why something of an experiment failed, with the end of its log, and what to change in its manifest.

    Exit code: 0; with --patch 1 when there is none.
    """
    from reconciler.cli.workplace import open_workplace
    from reconciler.cloud.reconcile import look

    with Screen() as screen:
        workplace = open_workplace(target, [name])
        seen = look(workplace.site, workplace.wish)
        failed = sorted((change for change in seen.plan.changes if change.failure), key=_held_first)
        if patch:
            return _print_patch(name, [found for change in failed if (found := _patch(workplace, change, target))])
        from reconciler.render.explain import explained_text, tries_text

        if not failed:
            mine = [item for item in workplace.wish.desired if item.address.experiment == name]
            screen.show(tries_text(name, _tried(seen, mine)))
            return 0

        for number, change in enumerate(failed):
            screen.show("\n" * bool(number))
            screen.show(explained_text(_explained(workplace, seen, change, target)))
    return 0


def _print_patch(name: str, patches: list[Patch]) -> int:
    """Only the first: two patches of one file would not apply one after the other."""
    if not patches:
        raise LoraformError(f"There is no patch for {name}.", f"`loraform explain {name}` says what helps.")
    sys.stdout.write(patches[0].diff)
    return 0


def _explained(workplace: Workplace, seen: Pass, change: Change, target: str | None) -> Explained:
    from reconciler.render.explain import Explained

    live = change.before
    assert live is not None
    log: tuple[str, ...] = ()
    unread = ""
    try:
        log = workplace.site.tail(live)
    except CloudError as error:
        unread = error.message
    tries = _tried(seen, (change.after,) if change.after else ())
    found = _patch(workplace, change, target)
    if found is None:
        return Explained(change, tries, log, unread)
    mending = found.mending
    return Explained(change, tries, log, unread, mending.why, mending.afterwards, found.diff)


def _tried(seen: Pass, desired: Iterable[Resource]) -> list[LiveResource]:
    """Everything that was tried for these resources and ended badly, oldest first."""
    stamps = {(resource.kind, resource.stamp) for resource in desired}
    found = [item for item in seen.snapshot.live if item.failure and (item.kind, item.stamp) in stamps]
    return sorted(found, key=lambda item: (item.created, item.name))


def _patch(workplace: Workplace, change: Change, target: str | None) -> Patch | None:
    from reconciler.repo.manifests import load
    from reconciler.repo.patches import ready_patch

    if change.failure is None:
        return None
    loaded = load(workplace.root, target)
    placed = next((item for item in loaded.experiments if item.value.name == change.address.experiment), None)
    if placed is None:
        return None
    role, top = change.address.role, workplace.history.root
    return ready_patch(placed, loaded.project.defaults, role, change.failure, workplace.root, top)


def _held_first(change: Change) -> tuple[bool, str]:
    return change.action is not Action.HOLD, str(change.address)
