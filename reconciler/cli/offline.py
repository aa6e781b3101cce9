"""A plan between two trees of git, or between a revision and the working tree, with no cloud and no server."""

from __future__ import annotations

from contextlib import ExitStack

from reconciler.cli.reading import Wrong, read_repository
from reconciler.cli.revisions import read_revision
from reconciler.cli.root import find_root
from reconciler.cli.screen import Screen
from reconciler.cli.showing import Shown
from reconciler.core.between import plan_between
from reconciler.core.errors import Severity
from reconciler.render.difference import difference_text
from reconciler.repo.history import read_history


def plan_offline(revisions: str, target: str | None, screen: Screen) -> Shown:
    """The plan from `REV` to the working tree, or from `A` to `B` for `A..B`, as if all that the first wants were live.

    Errors in the first tree are warnings, and what has one counts as absent there. Raises `Wrong` for those of the
    second, LoraformError for what git does not know.
    """
    first, _, second = revisions.partition("..")
    root = find_root()
    with ExitStack() as open_:
        old = open_.enter_context(read_revision(root, first, target, strict=False))
        borrowed = set(old.revision.borrowed)
        if second:
            new = open_.enter_context(read_revision(root, second, target, strict=True))
            assert new.repository is not None
            repository, diagnostics, there = new.repository, new.diagnostics, new.short
            borrowed.update(new.revision.borrowed)
        else:
            repository = read_repository(root, target, must_run=False)
            diagnostics, there = repository.diagnostics, _tree(read_history(root).dirty)
            if any(item.severity is Severity.ERROR for item in diagnostics):
                raise Wrong(diagnostics)
        if borrowed:
            screen.note(f"Ignored by git, so taken as it lies here: {', '.join(sorted(borrowed))}")
        where = f"{old.short}..{there}"
        plan = plan_between(
            old.desired,
            repository.desired,
            target=repository.target.name,
            diagnostics=(*old.diagnostics, *diagnostics),
        )
    return Shown(plan, where, applies=False, text=lambda: difference_text(plan, where=where))


def _tree(dirty: tuple[str, ...]) -> str:
    return "working tree" if dirty else "HEAD"
