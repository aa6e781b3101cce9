"""What every kind of job has in common, whatever runs it: it is read, found, listed, cancelled, deleted.

A `Room` says what differs. Creation belongs to each kind, and so does what makes it go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.emulator import operations
from reconciler.emulator.listing import page
from reconciler.emulator.store import BUSY, DONE, Row
from reconciler.emulator.wire.codec import Message, message_class, new, to_json
from reconciler.emulator.wire.errors import Json, not_found, precondition
from reconciler.emulator.wire.names import canonical
from reconciler.emulator.world import Method, World, stamp

# JobState and PipelineState count alike.
_CANCELLING, _ENDED = 6, (4, 5, 7)
FILTERED = frozenset(
    {"name", "display_name", "state", "labels", "create_time", "update_time", "start_time", "end_time"}
)
"""What lists of every kind may be filtered by."""


@dataclass(frozen=True, slots=True)
class Room:
    """One kind of job: its rows' `kind`, its `type`, and the field of list answers that holds `several`.

    A filter sees `view` of a job, by default all but the `large` fields. Lists without a read mask leave `detail` out.
    `owns`: the custom jobs that work for it go with it.
    """

    kind: str
    type: str
    several: str
    fields: frozenset[str] = FILTERED
    orders: frozenset[str] = frozenset()
    large: tuple[str, ...] = ()
    detail: str = ""
    owns: str = ""
    view: Callable[[Message], Mapping[str, Any]] | None = None

    def read(self, row: Row) -> Message:
        """The message in a row."""
        return message_class(self.type).FromString(row.body)

    def save(self, world: World, row: Row, job: Message, work: int, extra: Json | None = None) -> None:
        """Store a job with its update time set; with the `extra` of its row unless there is another."""
        stamp(job.update_time, world.clock())
        kept = row.extra if extra is None else extra
        world.store.save(Row(self.kind, row.name, row.parent, job.SerializeToString(), kept, work))

    def find(self, world: World, name: str) -> Row:
        """The row of a job by its full name. Raises NOT_FOUND."""
        row = world.store.get(self.kind, canonical(name))
        if row is None:
            raise not_found(f"The {self.type} {name}")
        return row

    def get(self, world: World, request: Message) -> Message:
        """The Get method."""
        return self.read(self.find(world, request.name))

    def listed(self, world: World, request: Message) -> Message:
        """The List method: newest first unless ordered."""
        parent = canonical(request.parent)
        found, token = page(
            lambda before: world.store.children(self.kind, parent, before=before),
            self.read,
            request,
            fields=self.fields,
            orders=self.orders,
            view=self.view or self._slim,
            shown=self.type,
        )
        if self.detail and not request.read_mask.paths:
            for job in found:
                job.ClearField(self.detail)
        return new(f"List{self.type}sResponse", **{self.several: found}, next_page_token=token)

    def cancel(self, world: World, request: Message) -> Message:
        """The Cancel method: it asks; what runs is ended soon. Cancelling an ended job changes nothing."""
        row = self.find(world, request.name)
        job = self.read(row)
        if job.state not in (*_ENDED, _CANCELLING):
            job.state = _CANCELLING
            self.save(world, row, job, BUSY)
        return new("google.protobuf.Empty")

    def delete(self, world: World, request: Message) -> Message:
        """The Delete method: only of an ended job."""
        row = self.find(world, request.name)
        if row.work != DONE:
            raise precondition(f"The {self.type} {row.name} is still running. Cancel it before deleting it.")
        with world.store.together():
            for child in list(world.store.children(self.owns, row.name)) if self.owns else ():
                world.store.drop(self.owns, child.name)
            world.store.drop(self.kind, row.name)
        return operations.finished(world, row.parent, new("google.protobuf.Empty"), new("DeleteOperationMetadata"))

    def methods(self, service: str) -> Mapping[str, Method]:
        """All of these by their full names."""
        return {
            f"{service}.Get{self.type}": self.get,
            f"{service}.List{self.type}s": self.listed,
            f"{service}.Cancel{self.type}": self.cancel,
            f"{service}.Delete{self.type}": self.delete,
        }

    def _slim(self, job: Message) -> Json:
        slim = message_class(self.type)()
        slim.CopyFrom(job)
        for field in self.large:
            slim.ClearField(field)
        return to_json(slim)
