"""Creates of which nothing came, as the planner needs them: failed things that only a claim remembers.

A job that failed, or a failed deploy, tells of itself. A create that the API refused leaves nothing, and neither does
an upload or an endpoint whose operation failed: without this they would be tried again in every pass, for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.core.resources import Address, Claim, Json, LiveResource, Phase, Resource


def refused(
    claims: Mapping[str, Claim], wanted: Mapping[Address, Resource], live: Iterable[LiveResource]
) -> list[LiveResource]:
    """What the claims remember of the things and runs that git wants; nothing of a thing that exists by now."""
    told = [claim for claim in claims.values() if claim.refusals]
    have = {(item.address, item.stamp) for item in live} if told else set()
    found: list[LiveResource] = []
    runs = {resource.stamp: resource for resource in wanted.values() if resource.once} if told else {}
    for claim in told:
        resource = runs.get(claim.stamp) or wanted.get(claim.address)
        if resource is None or resource.stamp != claim.stamp:
            continue
        if resource.once:  # each is a try on some rung, beside jobs that came about
            found += [_refused(resource, claim, number) for number in range(len(claim.refusals))]
        elif (claim.address, claim.stamp) not in have:
            found.append(_refused(resource, claim, len(claim.refusals) - 1))
    return found


def _refused(resource: Resource, claim: Claim, number: int) -> LiveResource:
    refusal = claim.refusals[number]
    outputs: dict[str, Json] = {"refused": True}
    if refusal.rung < len(resource.rungs):
        rung = resource.rungs[refusal.rung]
        outputs |= {"strategy": rung.strategy, "region": rung.region}
    return LiveResource(
        address=claim.address,
        kind=resource.kind,
        name=f"claims/{claim.stamp}/refused-{number + 1}",
        stamp=claim.stamp,
        phase=Phase.FAILED,
        outputs=outputs,
        failure=refusal.failure,
        attempt_key=refusal.attempt_key or claim.attempt_key,
        since=refusal.at,
        created=refusal.at,
        tries=sum(item.attempt_key == refusal.attempt_key for item in claim.refusals[: number + 1]),
        rung=refusal.rung,
        history=True,
    )
