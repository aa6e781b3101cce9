"""Which trees may be applied where: `local` takes the working tree as it is, a cloud target only what was merged."""

from __future__ import annotations

from reconciler.cli.differing import differing
from reconciler.cli.workplace import Workplace
from reconciler.cloud.accepted import Accepted, accept, read_accepted
from reconciler.cloud.holder import this_process
from reconciler.core.changes import Plan
from reconciler.core.errors import Refused
from reconciler.repo.history import is_ancestor


def may_apply(workplace: Workplace) -> None:
    """Raise Refused when this tree must not be applied to the target (`behaviour.md`, section 1)."""
    target, history = workplace.site.target, workplace.history
    if target.local or workplace.scheduled:
        return
    if history.head is None:
        raise Refused(f"{target.name} takes only commits, and this is no git repository.", "Commit, push, merge.")
    if history.dirty:
        named = ", ".join(history.dirty[:5]) + (", ..." if len(history.dirty) > 5 else "")
        raise Refused(f"{target.name} takes only what is committed; not so: {named}", "Commit it, or put it aside.")
    default = history.default_branch
    if not any(is_ancestor(workplace.root, history.head, branch) for branch in history.default_branches):
        raise Refused(
            f"{history.head[:12]} is not on the default branch ({default or 'there is none'}).",
            "Merge it first; `loraform plan` shows meanwhile what it would do.",
        )
    accepted = read_accepted(workplace.site.storage, target)
    if accepted and is_ancestor(workplace.root, accepted.commit, history.head) is not True:
        raise Refused(
            f"{history.head[:12]} does not descend from the accepted commit {accepted.commit[:12]}.",
            "Rebase or merge, so that what was accepted stays part of the history.",
        )


def note_accepted(workplace: Workplace, plan: Plan) -> str:
    """Move the accepted commit of a cloud target to this one; or a word for the person, why it stays.

    A selection was only shown what becomes of the selected: the commit is accepted when nothing else is new in it.
    """
    target, head = workplace.site.target, workplace.history.head
    if target.local or head is None or workplace.scheduled:
        return ""
    before = read_accepted(workplace.site.storage, target)
    if before and before.commit == head:
        return ""
    if workplace.wish.only is not None:
        others = _others(workplace, before)
        if others:
            stays = f"stays {before.commit[:12]}" if before else "is none yet"
            named = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
            return f"The accepted commit {stays}: this one changes more ({named}). `loraform apply` accepts all of it."
    accept(
        workplace.site.storage,
        target,
        Accepted(head, plan.id, str(this_process()), workplace.site.clock.now()),
        lambda commit, ancestor: is_ancestor(workplace.root, ancestor, commit) is True,
    )
    return ""


def _others(workplace: Workplace, before: Accepted | None) -> list[str]:
    """The experiments beside the selected ones that differ from what is accepted."""
    selected = workplace.wish.only or ()
    if before is None:
        return sorted(workplace.names - set(selected))
    new = differing(workplace.root, workplace.repository, before.commit, workplace.site.target.name)
    return sorted(new - set(selected))
