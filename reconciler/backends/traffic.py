"""Shares of an endpoint's traffic: whole numbers that sum to 100; what is not ours keeps its own.

A deployment's `traffic` setting is its percentage of the part that is ours to give. Which share is wanted when is
the planner's; this module only does the sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

WHOLE = 100


def percent_of_ours(split: Mapping[str, int], ours: Set[str], deployed: str) -> int:
    """Which percentage of our part of `split` goes to `deployed`.

    Where others than us have all of the traffic, there is nothing to move: it has all that is left, and that is in
    sync. The absolute share says what it gets.
    """
    available = WHOLE - _foreign(split, ours)
    return round(WHOLE * split.get(deployed, 0) / available) if available > 0 else WHOLE


def shifted(split: Mapping[str, int], ours: Set[str], deployed: str, percent: int) -> dict[str, int]:
    """The split in which `deployed` has `percent` of our part, our others the rest as they shared it before.

    Ids that are not ours keep their shares. Where no other of ours has traffic, the rest goes to `deployed` as well.
    A share that is to rise does so by at least one, or a small step of a small part would round to none for ever.
    """
    available = WHOLE - _foreign(split, ours)
    kept = {name: share for name, share in split.items() if name not in ours}
    others = {name: share for name, share in split.items() if name in ours and name != deployed and share > 0}
    rising = percent > percent_of_ours(split, ours, deployed)
    given = _rounded(available, percent, split.get(deployed, 0), rising=rising) if others else available
    return {
        **kept,
        **{name: 0 for name in ours if name in split},
        **apportioned(others, available - given),
        deployed: given,
    }


def without(split: Mapping[str, int], ours: Set[str], gone: str) -> dict[str, int]:
    """The split when `gone`, which is ours, leaves: our others get its share, as they shared ours before.

    Where none of them has traffic, those that are not ours share the whole; empty when nobody has traffic.
    """
    staying = {name: share for name, share in split.items() if name != gone and share > 0}
    own = {name: share for name, share in staying.items() if name in ours}
    if not own:
        return apportioned(staying, WHOLE)
    kept = {name: share for name, share in staying.items() if name not in ours}
    return {**kept, **apportioned(own, WHOLE - sum(kept.values()))}


def apportioned(shares: Mapping[str, int], whole: int) -> dict[str, int]:
    """Scale `shares` to whole numbers that sum to `whole`; the largest remainders, then names, get what is over."""
    total = sum(shares.values())
    if total <= 0:
        return {}
    result = {name: share * whole // total for name, share in shares.items()}
    over = whole - sum(result.values())
    by_remainder = sorted(shares, key=lambda name: (-(shares[name] * whole % total), name))
    return {name: result[name] + (1 if name in by_remainder[:over] else 0) for name in sorted(result)}


def _rounded(available: int, percent: int, before: int, *, rising: bool) -> int:
    exact = round(available * percent / WHOLE)
    return min(available, max(exact, before + 1)) if rising else exact


def _foreign(split: Mapping[str, int], ours: Set[str]) -> int:
    return sum(share for name, share in split.items() if name not in ours)
