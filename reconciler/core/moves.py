"""Renaming without loss: what is live under a former name of an experiment is read as being at the new one.

Labels of jobs, and the ids of models and endpoints, can never be changed. So nothing moves in the cloud: the names stay
as they are, later operations use them, and the labels that the API lets change are written anew by the next apply.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from reconciler.core.resources import Address, Claim, LiveResource, Resource, Role

NAME = "name"
"""The field of a change that writes the experiment's new name into a label."""
_ADDRESSED = (Role.ENDPOINT, Role.DEPLOYMENT)
"""What an experiment has once: two addresses cannot become one."""
_RELABELLED = (Role.MODEL, Role.ENDPOINT)
"""What carries labels that can be changed."""


def moves_of(desired: Iterable[Resource]) -> dict[str, str]:
    """Former name -> name, for all experiments that say so. A former name that git still declares has not moved."""
    resources = tuple(desired)
    kept = {resource.address.experiment for resource in resources}
    return {
        former: resource.address.experiment
        for resource in resources
        for former in resource.moved_from
        if former not in kept
    }


def adopted(live: Iterable[LiveResource], moves: Mapping[str, str]) -> tuple[LiveResource, ...]:
    """The live things with those of former names at their new address.

    Where an endpoint stands under the new name already, that one stays the experiment's address; of several former
    names that have one, the latest name's becomes it. Any other, and what is deployed on it, keeps its old address and
    is held until a person decides.
    """
    live = tuple(live)
    if not moves:
        return live
    there = {
        item.address.experiment: item.name.rsplit("/", 1)[-1] for item in live if item.address.role is Role.ENDPOINT
    }
    homes = {name: name for name in moves.values() if name in there}
    for former, name in moves.items():
        if former in there:
            homes.setdefault(name, former)
    return tuple(
        _moved(item, moves[item.address.experiment], there, homes) if item.address.experiment in moves else item
        for item in live
    )


def adopted_claims(claims: Mapping[str, Claim], moves: Mapping[str, str]) -> dict[str, Claim]:
    """The claims, by key, with those of former names at their new address; what is claimed there by now wins."""
    if not moves:
        return dict(claims)
    found = {claim.key: claim for claim in (_moved_claim(claim, moves) for claim in claims.values())}
    return {**found, **{key: claim for key, claim in claims.items() if claim.address.experiment not in moves}}


def belongs_to(item: LiveResource, owner: Address) -> LiveResource:
    """A version of a model, at the address of its model: labels of older versions may still say a former name."""
    if item.address == owner:
        return item
    return replace(item, address=owner, adopted_from=item.address.experiment)


def _moved_claim(claim: Claim, moves: Mapping[str, str]) -> Claim:
    name = moves.get(claim.address.experiment)
    return claim if name is None else replace(claim, address=Address(name, claim.address.role))


def _moved(item: LiveResource, name: str, there: Mapping[str, str], homes: Mapping[str, str]) -> LiveResource:
    """`there` are the endpoints by experiment, `homes` whose of them becomes that of a name."""
    former, role = item.address.experiment, item.address.role
    if role in _ADDRESSED and (home := homes.get(name, former)) != former:
        own = "of its own" if home == name else f"that was {home}'s"
        why = f"{name} has an endpoint {own}, {there[home]}: take `moved_from` out to let this one go"
        return replace(item, in_use=item.in_use or why)
    return replace(item, address=Address(name, role), adopted_from=former if role in _RELABELLED else "")
