"""The order of things: prerequisites before what needs them, and the other way round for removal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from reconciler.core.changes import Action, Change
from reconciler.core.errors import LoraformError
from reconciler.core.resources import Address, Resource, Role

_PLACES: Mapping[Role, int] = {role: place for place, role in enumerate(Role)}


def ordered(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """Every resource after all that it depends on; otherwise by experiment and role, whatever the input's order.

    Raises LoraformError for a cycle or for a dependency that nobody declares.
    """
    by_address = {resource.address: resource for resource in sorted(resources, key=lambda one: place(one.address))}
    sorter: TopologicalSorter[Address] = TopologicalSorter()
    for address, resource in by_address.items():
        needed = resource.depends_on if len(resource.depends_on) < 2 else sorted(resource.depends_on, key=place)
        for other in needed:
            if other not in by_address:
                raise LoraformError(f"{address} depends on {other}, which nothing declares")
        sorter.add(address, *needed)
    try:
        sorter.prepare()
    except CycleError as error:
        path = " -> ".join(str(address) for address in error.args[1])
        raise LoraformError(f"these depend on each other: {path}") from error
    order: list[Resource] = []
    while sorter.is_active():
        batch = sorted(sorter.get_ready(), key=place)
        order.extend(by_address[address] for address in batch)
        sorter.done(*batch)
    return tuple(order)


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
    address, the same endpoint (its etag moves with each call), the same identity (they share a claim; endpoints need
    none). All others may be carried out side by side.
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
    if change.address.role is not Role.ENDPOINT:
        yield from (side.stamp for side in (change.after, change.before) if side and side.stamp)


def _by_place(change: Change) -> tuple[str, int, str]:
    return *place(change.address), change.before.name if change.before else ""
