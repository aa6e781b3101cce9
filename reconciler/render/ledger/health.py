"""Health and sync of an experiment, kept apart: does it do its work, and is it as git says? From a plan and a look."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.changes import Action, Change, Reason
from reconciler.core.resources import LiveResource, Phase, Role
from reconciler.render import words
from reconciler.render.ledger.values import Word


def health_of(live: Sequence[LiveResource], changes: Sequence[Change]) -> Word:
    """Whether what there is works."""
    live = [item for item in live if not item.history]
    deployments = [item for item in live if item.address.role is Role.DEPLOYMENT]
    serving = [item for item in deployments if item.phase is Phase.READY and item.spec.get("traffic")]
    failed = [change for change in changes if change.failure and change.action is Action.HOLD]
    why = words.failed(failed[0].failure) if failed and failed[0].failure else ""
    if any(item.suspended for item in live):
        return Word("suspended", "idle", "undeployed by a person, and kept")
    if serving:
        return Word("degraded", "bad", f"an older one serves; {why}") if failed else Word("healthy", "good", "serves")
    if failed:
        return Word("failed", "bad", why)
    if any(item.phase is Phase.FAILED for item in deployments):
        return Word("failed", "bad", "its deployment failed")
    if any(item.address.role is Role.TRAINING and item.phase in (Phase.PENDING, Phase.RUNNING) for item in live):
        return Word("training", "busy", "a run is on its way")
    if any(item.phase in (Phase.PENDING, Phase.RUNNING) for item in deployments):
        return Word("deploying", "busy", "a deployment is on its way")
    if any(change.address.role is Role.TRAINING and change.action is Action.NOOP for change in changes):
        return Word("trained", "idle", "there is a finished run, and nothing serves")
    return Word("absent", "idle", "nothing of it is live")


def sync_of(changes: Sequence[Change]) -> Word:
    """Whether it is as git says; `changes` are the plan's about it."""
    if not any(change.after is not None for change in changes):
        return Word("not in git", "idle", "what is live was removed from git, or never was in it")
    for change in changes:
        if change.action is Action.HOLD and change.reason is not Reason.PREREQUISITE:
            return Word("held", "bad", words.clean(change.detail or str(change.reason), 200))
    moving = [change for change in changes if change.action.mutates]
    if moving:
        drifted = any(change.reason is Reason.DRIFTED for change in moving)
        count = f"{len(moving)} change{'s' * (len(moving) != 1)}"
        return Word("drifted" if drifted else "out of sync", "busy", f"{count} to apply")
    if any(change.action is Action.WAIT for change in changes):
        return Word("in progress", "busy", "something is being waited for")
    return Word("in sync", "good", "as git says")
