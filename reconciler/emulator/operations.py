"""Long-running operations: made by the other rooms, read, listed, waited for and deleted here."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.emulator.listing import page
from reconciler.emulator.store import BUSY, DONE, Row
from reconciler.emulator.wire.codec import Message, message_class, new, to_json
from reconciler.emulator.wire.errors import ApiError, not_found
from reconciler.emulator.wire.names import canonical, new_id
from reconciler.emulator.world import Answer, Method, Wait, World, stamp

KIND = "operation"
LONGEST_WAIT_S = 60.0


def begin(world: World, parent: str, metadata: Message) -> Message:
    """A new operation under `parent` (a location, an endpoint or a model), not done yet.

    `metadata` is one of the `*OperationMetadata` types; its generic part is filled here.
    """
    operation = new("google.longrunning.Operation", name=f"{parent}/operations/{new_id()}")
    stamp(metadata.generic_metadata.create_time, world.clock())
    metadata.generic_metadata.update_time.CopyFrom(metadata.generic_metadata.create_time)
    operation.metadata.Pack(metadata)
    world.store.add(Row(KIND, operation.name, parent, operation.SerializeToString(), {}, BUSY))
    return operation


def finished(world: World, parent: str, response: Message, metadata: Message) -> Message:
    """An operation that was over as soon as it began."""
    operation = begin(world, parent, metadata)
    return succeed(world, operation.name, response)


def succeed(world: World, name: str, response: Message, metadata: Message | None = None) -> Message:
    """End an operation well. A `metadata` given replaces the old one, its times apart."""
    operation = _load(world, name)
    operation.done = True
    operation.response.Pack(response)
    return _save(world, operation, metadata)


def fail(world: World, name: str, error: ApiError, metadata: Message | None = None) -> Message:
    """End an operation with an error."""
    operation = _load(world, name)
    operation.done = True
    operation.error.code = error.rpc_code
    operation.error.message = error.message
    return _save(world, operation, metadata)


def advance(world: World, name: str, metadata: Message) -> None:
    """Replace the metadata (a new deployment stage)."""
    _save(world, _load(world, name), metadata)


def get(world: World, request: Message) -> Message:
    """GetOperation."""
    return _load(world, request.name)


def list_(world: World, request: Message) -> Message:
    """ListOperations of one parent, newest first."""
    parent = canonical(request.name)
    found, token = page(
        lambda before: world.store.children(KIND, parent, before=before),
        _read,
        request,
        fields={"done", "name", "error", "metadata", "response"},
        view=lambda operation: {"done": operation.done, **to_json(operation)},
    )
    return new("google.longrunning.ListOperationsResponse", operations=found, next_page_token=token)


def wait(world: World, request: Message) -> Answer:
    """WaitOperation: the caller of `answer` does the waiting."""
    operation = _load(world, request.name)
    if operation.done:
        return operation
    asked = request.timeout.ToTimedelta().total_seconds() if request.HasField("timeout") else LONGEST_WAIT_S
    return Wait(operation.name, min(max(asked, 0.0), LONGEST_WAIT_S))


def delete(world: World, request: Message) -> Message:
    """DeleteOperation: forgets it."""
    world.store.drop(KIND, _load(world, request.name).name)
    return new("google.protobuf.Empty")


def cancel(world: World, request: Message) -> Message:
    """CancelOperation: best effort, and none of ours can be cancelled half-way."""
    _load(world, request.name)
    return new("google.protobuf.Empty")


METHODS: Mapping[str, Method] = {
    "Operations.GetOperation": get,
    "Operations.ListOperations": list_,
    "Operations.WaitOperation": wait,
    "Operations.DeleteOperation": delete,
    "Operations.CancelOperation": cancel,
}


def _read(row: Row) -> Message:
    operation = message_class("google.longrunning.Operation").FromString(row.body)
    message_class(operation.metadata.TypeName())  # an earlier process may have known more types than this one
    return operation


def _load(world: World, name: str) -> Message:
    row = world.store.get(KIND, canonical(name))
    if row is None:
        raise not_found(f"The Operation {name}")
    return _read(row)


def _save(world: World, operation: Message, metadata: Message | None) -> Message:
    kept = message_class(operation.metadata.TypeName())()
    operation.metadata.Unpack(kept)
    generic = kept.generic_metadata
    if metadata is not None:
        metadata.generic_metadata.CopyFrom(generic)
        kept = metadata
    stamp(kept.generic_metadata.update_time, world.clock())
    operation.metadata.Pack(kept)
    row = Row(KIND, operation.name, "", operation.SerializeToString(), {}, DONE if operation.done else BUSY)
    world.store.save(row)
    return operation
