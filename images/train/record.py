"""The run record: looked for before anything else, written last. It is what "trained" means."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from images.train.failures import Duplicate, StorageFailed
from images.train.storage import PreconditionFailed, Storage
from schemas.run_record import RunRecord, metadata_of

LIBRARIES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate", "datasets", "tokenizers")


def find(storage: Storage, uri: str) -> tuple[RunRecord | None, int]:
    """The record at `uri` and its generation; (None, 0) if there is none."""
    found = storage.read(uri)
    if found is None:
        return None, 0
    try:
        return RunRecord.model_validate_json(found.content), found.generation
    except ValueError as error:
        raise StorageFailed(f"{uri} is not a run record", "Remove that object, then run again.") from error


def write(storage: Storage, uri: str, record: RunRecord, *, expected: int = 0) -> None:
    """Write the record with its metadata; `expected` is the generation that it replaces (a pruned one), else 0."""
    content = json.dumps(record.model_dump(mode="json"), sort_keys=True, indent=1).encode() + b"\n"
    try:
        storage.write(uri, content, expected=expected, metadata=metadata_of(record))
    except PreconditionFailed as error:
        found = storage.read(uri)
        if found is not None and found.content == content:
            return  # Our own write, whose answer was lost and which was then tried again.
        raise Duplicate(
            f"duplicate: {uri} was written by another run while this one trained",
            "Nothing to do: that record is as good as this one.",
        ) from error


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def versions() -> dict[str, str]:
    """The installed versions of the libraries that make the result."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
