"""What was agreed on for a target: the accepted commit of a cloud target, the working tree of the local one."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.cli.reading import Wrong, read_repository
from reconciler.cli.root import find_root
from reconciler.cli.workplace import connect_with_project, read_accepted_revision
from reconciler.cloud.reconcile import Pass, Wish, look
from reconciler.cloud.site import Site
from reconciler.core.errors import Refused, Severity
from reconciler.core.guardrails import NO_LIMITS
from reconciler.core.resources import Resource
from schemas.project import Project


@dataclass(frozen=True, slots=True)
class Agreed:
    """A look at a target beside what was agreed on; `where` says which tree that is."""

    site: Site
    seen: Pass
    where: str
    project: Project


def look_at_agreed(target: str | None) -> Agreed:
    """Snapshot and plan for what was agreed on.

    Raises `Wrong` when its manifests have errors, Refused when it declares nothing, LoraformError when nothing was
    accepted yet.
    """
    site, project = connect_with_project(target)
    desired, where = _of_tree(target) if site.target.local else _of_accepted(site, target)
    if not desired:
        raise Refused("Nothing is declared there: beside that, all that is live would look wrong.")
    return Agreed(site, look(site, Wish(desired, limits=NO_LIMITS)), where, project)


def _of_tree(target: str | None) -> tuple[tuple[Resource, ...], str]:
    repository = read_repository(find_root(), target)
    if any(item.severity is Severity.ERROR for item in repository.diagnostics):
        raise Wrong(repository.diagnostics)
    return repository.desired, "the working tree"


def _of_accepted(site: Site, target: str | None) -> tuple[tuple[Resource, ...], str]:
    with read_accepted_revision(find_root(), site, target) as at:
        return at.desired, f"accepted commit {at.short}"
