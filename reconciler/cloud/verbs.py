"""What a person does by hand to one experiment: cancel its run, suspend and resume its serving, destroy it.

Built on the calls of the kinds, so that passes understand what they find afterwards. Git is not asked: what it still
wants comes back with the next apply, except what is suspended or cancelled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from reconciler.backends import endpoint as endpoints
from reconciler.backends.deployment import undeploy
from reconciler.backends.registry import KINDS
from reconciler.cloud import claims, served
from reconciler.cloud.lease import acquire
from reconciler.cloud.site import Site
from reconciler.cloud.snapshot import take_snapshot
from reconciler.core.calls import Call, Scene
from reconciler.core.changes import Action, Change, Reason
from reconciler.core.errors import Conflict, LoraformError, Refused
from reconciler.core.removal import way_out
from reconciler.core.resources import RUNS, LiveResource, Phase, Role

OPERATION_BOUND = 300.0
"""Seconds to wait for one undeploy or delete: the next step needs it done."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is live of one experiment."""

    runs: tuple[LiveResource, ...]
    """Only those that are pending or running."""
    endpoint: LiveResource | None
    deployments: tuple[LiveResource, ...]


def find(site: Site, experiment: str) -> Found:
    """What is live of the experiment. Raises LoraformError when there is nothing of ours under that name."""
    live = [
        item
        for item in take_snapshot(site.vertex, site.storage, site.target, (), site.workers).live
        if item.address.experiment == experiment
    ]
    if not live:
        raise LoraformError(
            f"nothing of {experiment} is live on {site.target.name}", "`loraform status` shows what is."
        )

    def of(role: Role) -> tuple[LiveResource, ...]:
        return tuple(item for item in live if item.address.role is role)

    active = tuple(run for role in RUNS for run in of(role) if run.phase in (Phase.PENDING, Phase.RUNNING))
    return Found(active, next(iter(of(Role.ENDPOINT)), None), of(Role.DEPLOYMENT))


def cancel(site: Site, experiment: str) -> tuple[str, ...]:
    """Cancel the runs of an experiment; the names of the jobs. Their claims stay, so no pass starts them again
    before `attempt` or a setting changes in git.
    """
    return _cancel(site, find(site, experiment).runs)


def suspend(site: Site, experiment: str) -> tuple[str, ...]:
    """Take the experiment's models off its endpoint, keep the address, and keep passes from deploying again.

    Returns the names of what was undeployed. Raises LoraformError when it has no endpoint.
    """
    with acquire(site.storage, site.target, site.clock):
        found = find(site, experiment)
        if found.endpoint is None:
            raise LoraformError(f"{experiment} has no endpoint on {site.target.name}")
        _call_all(site, endpoints.suspend(found.endpoint, found.deployments))
        _leave(site, found.deployments)
        return tuple(item.name for item in found.deployments)


def resume(site: Site, experiment: str) -> None:
    """Let the next apply deploy the experiment again."""
    with acquire(site.storage, site.target, site.clock):
        found = find(site, experiment)
        if found.endpoint is None or not found.endpoint.suspended:
            raise LoraformError(f"{experiment} is not suspended on {site.target.name}")
        _call_all(site, endpoints.resume(found.endpoint))


def destroy(site: Site, experiment: str) -> tuple[str, ...]:
    """Cancel the experiment's runs, undeploy it and delete its endpoint; models and run records stay.

    Returns the names of what is gone. Refused when it is protected or holds what is not ours.
    """
    with acquire(site.storage, site.target, site.clock):
        found = find(site, experiment)
        endpoint = found.endpoint
        guarded = next((item for item in (endpoint, *found.runs) if item and item.protect), None)
        if guarded:
            raise Refused(f"The {guarded.address.role} of {experiment} is protected: {way_out(guarded)}.")
        if endpoint and endpoint.in_use:
            raise Refused(f"{endpoint.name} cannot be deleted: {endpoint.in_use}")
        gone = list(_cancel(site, found.runs))
        for run in found.runs:
            claims.let_go(site.storage, site.target, run, "destroy", now=site.clock.now())
        # One after the other: the service runs one operation on an endpoint at a time, and each moves the etag.
        for deployment in found.deployments:
            _call_all(site, undeploy(replace(deployment, etag="")))
            gone.append(deployment.name)
        if endpoint:
            _call_all(site, KINDS[endpoint.kind].delete(_change(endpoint, Action.DELETE), _scene(site)))
            gone.append(endpoint.name)
        _leave(site, [*found.deployments, *([endpoint] if endpoint else [])])
        return tuple(gone)


def _cancel(site: Site, runs: Iterable[LiveResource]) -> tuple[str, ...]:
    names = []
    for run in runs:
        _call_all(site, KINDS[run.kind].cancel(_change(run, Action.CANCEL), _scene(site)))
        names.append(run.name)
    return tuple(names)


def _call_all(site: Site, calls: Iterable[Call]) -> None:
    for call in calls:
        try:
            answer = site.vertex.perform(call)
        except Conflict as error:
            raise LoraformError(f"{error.message}: it changed meanwhile", "Run the command again.") from error
        if "/operations/" in str(answer.get("name", "")) and site.vertex.wait(answer, OPERATION_BOUND) is None:
            raise LoraformError(f"{call.method} takes longer than {OPERATION_BOUND:.0f} s", "Run the command again.")


def _leave(site: Site, items: Iterable[LiveResource]) -> None:
    """What is gone needs no claim, and answers nothing from now on."""
    items = tuple(items)
    for item in items:
        claims.drop(site.storage, site.target, item)
    for stamp in sorted({item.stamp for item in items if item.address.role is Role.DEPLOYMENT}):
        served.note(site, stamp, 0, site.clock.now())


def _change(live: LiveResource, action: Action) -> Change:
    return Change(live.address, live.kind, action, Reason.REMOVED, before=live)


def _scene(site: Site) -> Scene:
    return Scene(site.target.parent, site.target.fleet, {}, {})
