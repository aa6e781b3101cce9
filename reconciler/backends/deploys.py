"""Deploys that are under way or failed, from the long-running operations of an endpoint.

A deployed model shows on its endpoint only once it is ready; until then, and when it never is, an operation is all
there is. It does not say what it deploys: claims do.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.backends import payloads
from reconciler.backends.deployment import NAME
from reconciler.backends.failures import failure_of
from reconciler.backends.kind import Payload
from reconciler.core.resources import Address, Claim, LiveResource, Phase, Role

_SKEW = 60.0
"""Seconds by which the clock of whoever wrote a claim may be ahead of the service's."""


def from_operations(
    endpoint: LiveResource,
    operations: tuple[Payload, ...],
    claims: Mapping[str, Claim],
    known: Mapping[str, str],
) -> tuple[LiveResource, ...]:
    """Deploys that are still in flight (`pending`) or failed, from the operations of one endpoint.

    An operation does not say what it deploys. `known` tells it (operation name -> stamp) where apply could write it
    down; else it belongs to the newest claim (`claims`) on a deployment of this experiment that was written
    before it started. Per stamp the newest operation counts, `tries` are its failed ones; an operation of nobody is
    left out. Deploys that succeeded show on the endpoint itself.
    """
    address = Address(endpoint.address.experiment, Role.DEPLOYMENT)
    mine = sorted((item for item in claims.values() if item.address == address), key=lambda item: (item.at, item.stamp))
    keys = {claim.stamp: claim.attempt_key for claim in mine}
    by_stamp: dict[str, list[Payload]] = {}
    for operation in sorted(operations, key=lambda item: (_started(item), payloads.text(item, "name"))):
        earlier = [claim.stamp for claim in mine if claim.at <= _started(operation) + _SKEW]
        stamp = known.get(payloads.text(operation, "name")) or (earlier[-1] if earlier else "")
        if stamp and _is_deploy(operation):
            by_stamp.setdefault(stamp, []).append(operation)
    undone = (_undone(endpoint, address, stamp, keys.get(stamp, ""), runs) for stamp, runs in sorted(by_stamp.items()))
    return tuple(item for item in undone if item is not None)


def _undone(
    endpoint: LiveResource, address: Address, stamp: str, attempt_key: str, runs: list[Payload]
) -> LiveResource | None:
    newest = runs[-1]
    failed = [run for run in runs if run.get("error")]
    if newest.get("done") and not newest.get("error"):
        return None
    generic = payloads.mapping(payloads.mapping(newest, "metadata"), "generic_metadata")
    pending = not newest.get("done")
    return LiveResource(
        address=address,
        kind=NAME,
        name=payloads.text(newest, "name"),
        stamp=stamp,
        phase=Phase.PENDING if pending else Phase.FAILED,
        outputs={"endpoint": endpoint.name, "operation": payloads.text(newest, "name")},
        failure=None if pending else failure_of(newest.get("error"), "the deployment failed without a message"),
        attempt_key=attempt_key,
        since=payloads.seconds(generic, "create_time" if pending else "update_time", "create_time"),
        created=_started(newest),
        tries=max(1, len(failed)),
        history=True,
        protect=endpoint.protect,
    )


def _is_deploy(operation: Payload) -> bool:
    kind = payloads.text(payloads.mapping(operation, "metadata"), "@type")
    return kind.endswith(".DeployModelOperationMetadata")


def _started(operation: Payload) -> float:
    generic = payloads.mapping(payloads.mapping(operation, "metadata"), "generic_metadata")
    return payloads.seconds(generic, "create_time")
