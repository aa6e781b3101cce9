"""The causes of what failed, looked up in the logs: only of what git wants and what its error does not explain.

A fleet in which nothing failed reads no log. What a log tells is decided in `backends/failures.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reconciler.backends.failures import LOG_HELPS, with_log
from reconciler.cloud.site import Tail
from reconciler.core.errors import CloudError
from reconciler.core.resources import Address, LiveResource, Phase, Resource, Snapshot

MOST = 8
"""Logs that one look reads: the newest failures, since a person reads no more at a time."""


def with_causes(snapshot: Snapshot, desired: Iterable[Resource], tail: Tail) -> Snapshot:
    """The snapshot with better causes for the newest failures of what git wants. A log that cannot be read is left."""
    if not any(item.phase is Phase.FAILED for item in snapshot.live):
        return snapshot
    wanted = {(resource.address, resource.stamp, resource.attempt_key) for resource in desired}
    newest: dict[tuple[Address, str], LiveResource] = {}
    for item in sorted(snapshot.live, key=lambda item: (item.created, item.name)):
        newest[item.address, item.stamp] = item
    puzzling = [
        item
        for item in newest.values()
        if item.phase is Phase.FAILED
        and item.failure
        and item.failure.cause in LOG_HELPS
        and not item.failure.evidence
        and (item.address, item.stamp, item.attempt_key) in wanted
    ]
    if not puzzling:
        return snapshot
    explained = {item.name: _explained(item, tail) for item in sorted(puzzling, key=_newest_first)[:MOST]}
    return replace(snapshot, live=tuple(explained.get(item.name, item) for item in snapshot.live))


def _explained(item: LiveResource, tail: Tail) -> LiveResource:
    try:
        lines = tail(item)
    except CloudError:
        return item  # whoever may not read logs still gets a plan
    return replace(item, failure=with_log(item.failure, lines)) if item.failure else item


def _newest_first(item: LiveResource) -> tuple[float, str]:
    return -item.created, item.name
