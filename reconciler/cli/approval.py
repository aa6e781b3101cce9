"""Whether what an apply would do is what was approved: the plan id in the status of each merged pull request's head.

Since the accepted commit, each commit of the default branch (first parents) came with a pull request, and what becomes
of the experiments that it changed must have the id that was on the screen when it was approved. A commit that changes
no experiment needs no approval. Of two that change the same ones, the later pull request showed what both lead to.
"""

from __future__ import annotations

import re

from reconciler.cli.differing import differing_between
from reconciler.cli.workplace import Workplace
from reconciler.cloud.accepted import read_accepted
from reconciler.core.changes import Plan, plan_id
from reconciler.core.errors import Refused, Stale
from reconciler.hosts.host import Host, Request, State
from reconciler.repo.commits import first_parents

CONTEXT = "loraform/plan"
_PLAN = re.compile(r"plan ([0-9a-f]{12})\b")


def check_approved(workplace: Workplace, plan: Plan, host: Host, target: str | None = None) -> tuple[str, ...]:
    """What was approved, a line for each pull request; empty when the commit was accepted before.

    Raises Refused for a commit that nobody approved, Stale when its plan has another id now.
    """
    head = workplace.history.head
    before = read_accepted(workplace.site.storage, workplace.site.target)
    if head is None or (before and before.commit == head):
        return ()
    root = workplace.root
    told: list[str] = []
    later: set[str] = set()
    for parent, commit in first_parents(root, before.commit if before else "", head):
        changed = differing_between(root, parent, commit, target) if parent else workplace.names
        if not changed or changed <= later:
            continue
        if changed & later:
            both = ", ".join(sorted(changed & later))
            raise Refused(
                f"{commit[:12]} and a later commit both change {both}, and {commit[:12]} changes more than that.",
                "Read `loraform plan` and apply it with --expect PLAN_ID.",
            )
        now = plan_id(plan.changes, plan.follow, changed)
        request, approved = _approved(host, commit)
        if approved != now:
            raise Stale(
                f"Pull request {request.number} was approved with plan {approved}; it would be plan {now} now. "
                "Nothing was done.",
                "Read `loraform plan` and apply it with --expect PLAN_ID, or revert the merge.",
            )
        told.append(f"pull request {request.number}: plan {now} was approved")
        later |= changed
    return tuple(told)


def _approved(host: Host, commit: str) -> tuple[Request, str]:
    """The pull request that a commit came with, and the plan id that stands in its head's newest status."""
    requests = sorted(host.merged_by(commit), key=lambda item: item.number)
    if not requests:
        raise Refused(
            f"{commit[:12]} changes experiments and came with no pull request: nobody approved its plan.",
            "Read `loraform plan` and apply it with --expect PLAN_ID.",
        )
    request = requests[-1]
    newest = next((item for item in host.statuses(request.head) if item.context == CONTEXT), None)
    found = _PLAN.search(newest.description) if newest and newest.state is State.SUCCESS else None
    if found is None:
        raise Refused(
            f"The head {request.head[:12]} of pull request {request.number} has no plan in its status {CONTEXT}.",
            "Read `loraform plan` and apply it with --expect PLAN_ID.",
        )
    return request, found[1]
