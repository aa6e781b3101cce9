"""The order of things: prerequisites before what needs them, and the other way round for removal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from reconciler.core.changes import Action, Change
from reconciler.core.errors import LoraformError
from reconciler.core.resources import RUNS, Address, Resource, Role

_PLACES: Mapping[Role, int] = {role: place for place, role in enumerate(Role)}


def ordered(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """Every resource after all that it depends on; otherwise by experiment and role, whatever the input's order.

    Raises LoraformError for a cycle or for a dependency that nobody declares.
    """
    by_address = {resource.address: resource for resource in sorted(resources, key=lambda one: place(one.address))}
    for address, resource in by_address.items():
        for other in resource.depends_on:
            if other not in by_address:
                raise LoraformError(f"{address} depends on {other}, which nothing declares")
    order: dict[Address, Resource] = {}
    left = by_address
    while left:
        ready = {
            address: resource for address, resource in left.items() if all(map(order.__contains__, resource.depends_on))
        }
        if not ready:
            raise _cycle(left)
        order |= ready
        left = {address: resource for address, resource in left.items() if address not in ready}
    return tuple(order.values())


def _cycle(left: Mapping[Address, Resource]) -> LoraformError:
    """What is never ready leads, from one to the next that it needs, back to itself."""
    path: list[Address] = []
    address = next(iter(left))
    while address not in path:
        path.append(address)
        address = next(needed for needed in left[address].depends_on if needed in left)
    circle = [*path[path.index(address) :], address]
    return LoraformError(f"these depend on each other: {' -> '.join(map(str, reversed(circle)))}")


def place(address: Address) -> tuple[str, int]:
    """The sort key of an address: experiments by name, inside them the roles in the order of a life."""
    return address.experiment, _PLACES[address.role]


def apply_order(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The mutating changes as apply performs them.

    Cancels first (they free machines), then creates and updates with prerequisites first, then deletes with the
    dependent first.
    """
    mutating = [change for change in changes if change.action.mutates]
    cancels = [change for change in mutating if change.action is Action.CANCEL]
    writes = [change for change in mutating if change.action in (Action.CREATE, Action.UPDATE)]
    deletes = [change for change in mutating if change.action is Action.DELETE]
    return (
        *sorted(cancels, key=_by_place),
        *sorted(writes, key=lambda change: (_PLACES[change.address.role], change.address.experiment)),
        *sorted(deletes, key=lambda change: (-_PLACES[change.address.role], *_by_place(change))),
    )


def predecessors(changes: Sequence[Change]) -> tuple[frozenset[int], ...]:
    """For each of `changes` (in apply order) the positions of those that must have ended before it begins.

    A change follows what its resource depends on, and the change before it that touches the same thing: the same
    address, the same endpoint (its etag moves with each call), the same run (equal experiments share its claim). All
    others may be carried out side by side.
    """
    last: dict[Address | str, int] = {}
    found: list[frozenset[int]] = []
    for position, change in enumerate(changes):
        touched = tuple(_touched(change))
        needed = change.after.depends_on if change.after else ()
        found.append(frozenset(last[key] for key in (*touched, *needed) if key in last))
        last.update(dict.fromkeys(touched, position))
    return tuple(found)


def _touched(change: Change) -> Iterator[Address | str]:
    yield change.address
    if change.address.role in (Role.ENDPOINT, Role.DEPLOYMENT):
        yield Address(change.address.experiment, Role.ENDPOINT)
        yield from (
            needed for needed in (change.after.depends_on if change.after else ()) if needed.role is Role.ENDPOINT
        )
    if change.address.role in RUNS:
        yield from (side.stamp for side in (change.after, change.before) if side and side.stamp)


def _by_place(change: Change) -> tuple[str, int, str]:
    return *place(change.address), change.before.name if change.before else ""
